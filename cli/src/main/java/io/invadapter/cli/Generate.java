package io.invadapter.cli;

import io.invadapter.engine.FacePicture;
import io.invadapter.engine.GenerationRequest;
import io.invadapter.engine.GenerationResult;
import io.invadapter.engine.IdentityBudget;
import io.invadapter.engine.IdentityRows;
import io.invadapter.engine.InvalidRequestException;
import io.invadapter.engine.Pipeline;
import io.invadapter.engine.model.IdentityLayers;
import java.awt.image.BufferedImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.ThreadLocalRandom;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A prompt and, if wanted, a face in; pictures out. */
@Command(name = "generate", sortOptions = false, description = "Makes pictures from a prompt, of the person in --face when given.")
final class Generate implements Callable<Integer> {
    @Option(names = "--prompt", paramLabel = "TEXT", required = true, description = "what to show")
    private String prompt;

    @Option(names = "--negative", paramLabel = "TEXT", defaultValue = "", description = "what not to show")
    private String negative;

    @Option(names = "--face", paramLabel = "FILE", description = "picture of the person to keep; the middle square is used (default: plain text to image)")
    private Path face;

    @Option(names = "--caption", paramLabel = "TEXT", defaultValue = "a portrait of a person", description = "describes the face's picture (default: ${DEFAULT-VALUE})")
    private String caption;

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", defaultValue = "out.png", description = "PNG; several become out-1.png, out-2.png, … (default: ${DEFAULT-VALUE})")
    private Path output;

    @Option(names = "--count", paramLabel = "N", defaultValue = "1", description = "pictures, with seeds S, S+1, … (default: ${DEFAULT-VALUE})")
    private int count;

    @Option(names = "--seed", paramLabel = "S", description = "of the first picture (default: random, and printed)")
    private Long seed;

    @Option(names = "--size", paramLabel = "WxH", description = "in pixels, e.g. 512x768 or 512 (default: the model's own)")
    private String size;

    @Mixin
    private ModelOptions model;

    @Option(names = "--guidance", paramLabel = "X", description = "how closely the prompt is followed; 1: no guidance (default: 3.5 for the bundled model, 7.5 for others)")
    private Double guidance;

    @Option(names = "--id-scale", paramLabel = "X", description = "how strongly the person is kept, 0 to about 1.2 (default: what the adapter recommends)")
    private Double identityScale;

    @Option(names = "--id-layers", paramLabel = "NAME", defaultValue = "both", description = "attention layers that see the person: both, self_only, cross_only (default: ${DEFAULT-VALUE})")
    private IdentityLayers identityLayers;

    @Option(names = "--id-rows", paramLabel = "NAME", defaultValue = "prompt", description = "rows of guidance that see the person: prompt or both (default: ${DEFAULT-VALUE})")
    private IdentityRows identityRows;

    @Option(names = "--identity-cache", paramLabel = "FOLDER", description = "keeps here what a face's pictures have in common, so that its next one takes less time on a CPU; at most 20 GiB and a quarter of what is free there (default: nothing is kept)")
    private Path identityCache;

    @Mixin
    private DeviceOptions device;

    @Override
    public Integer call() throws Exception {
        GenerationRequest.Builder request = request();
        model.check(face != null);
        for (int i = 0; i < count; i++) {
            Checks.writablePng(file(i));
        }
        if (face != null) {
            request.face(FacePicture.read(face, device::warn));
        }
        try (Pipeline pipeline = model.open(device, identities()); Progress progress = new Progress(device.quiet())) {
            double scale = identityScale != null ? identityScale : pipeline.defaultIdentityScale();
            GenerationRequest asked = request.identityScale(scale).listener(progress).build();
            GenerationResult result = pipeline.generate(asked);
            progress.close();
            result.warnings().forEach(device::warn);
            for (int i = 0; i < count; i++) {
                BufferedImage picture = result.images().get(i);
                Png.write(picture, parameters(asked, asked.seed() + i, picture), file(i));
                if (!device.quiet()) {
                    System.out.println(file(i) + (seed == null ? " (seed " + (asked.seed() + i) + ")" : ""));
                }
            }
        }
        return 0;
    }

    /** Everything but the face; mistakes are found before anything is loaded. */
    private GenerationRequest.Builder request() {
        GenerationRequest.Builder request = GenerationRequest.builder().prompt(prompt).negativePrompt(negative).caption(caption)
                .steps(model.steps()).guidanceScale(guidance != null ? guidance : model.bundled() ? 3.5 : 7.5)
                .identityLayers(identityLayers).identityRows(identityRows).count(count)
                .seed(seed != null ? seed : ThreadLocalRandom.current().nextLong(1L << 32));
        if (identityScale != null) {
            if (face == null) {
                throw new InvalidRequestException("--id-scale says how strongly the person in --face is kept; there is no --face");
            }
            if (!(identityScale >= 0 && identityScale < Double.POSITIVE_INFINITY)) {
                throw new InvalidRequestException("--id-scale must be 0 or more, not " + identityScale);
            }
        }
        if (size != null) {
            int[] pixels = size();
            request.size(pixels[0], pixels[1]);
        }
        request.build();
        return request;
    }

    /** In the form of stable-diffusion-webui, so that its tools read it. */
    private String parameters(GenerationRequest asked, long pictureSeed, BufferedImage picture) {
        StringBuilder text = new StringBuilder(prompt);
        if (!negative.isEmpty()) {
            text.append("\nNegative prompt: ").append(negative);
        }
        text.append(String.format(Locale.ROOT, "\nSteps: %d, Sampler: DDIM, CFG scale: %s, Seed: %d, Size: %dx%d, Model: %s",
                asked.steps(), asked.guidanceScale(), pictureSeed, picture.getWidth(), picture.getHeight(), quoted(model.modelName())));
        if (face != null) {
            text.append(", Inv-Adapter scale: ").append(asked.identityScale())
                    .append(", Inv-Adapter caption: ").append(quoted(caption));
            if (identityLayers != IdentityLayers.BOTH) {
                text.append(", Inv-Adapter layers: ").append(identityLayers);
            }
            if (identityRows != IdentityRows.PROMPT) {
                text.append(", Inv-Adapter rows: ").append(identityRows);
            }
        }
        return text.toString();
    }

    /** A value with a comma, a colon, a quotation mark or a line break needs quotation marks in that form. */
    private static String quoted(String value) {
        return value.matches("[^,:\"\n]*") ? value
                : '"' + value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }

    private Path file(int index) {
        if (count == 1) {
            return output;
        }
        String name = output.getFileName().toString();
        int dot = name.lastIndexOf('.') > 0 ? name.lastIndexOf('.') : name.length();
        return output.resolveSibling(name.substring(0, dot) + "-" + (index + 1) + name.substring(dot));
    }

    private IdentityBudget identities() {
        if (identityCache == null) {
            return null;
        }
        Path there = identityCache.toAbsolutePath();
        while (!Files.exists(there)) {
            there = there.getParent();
        }
        return new IdentityBudget(0, 0, Math.min(20L << 30, there.toFile().getUsableSpace() / 4), identityCache);
    }

    private int[] size() {
        try {
            String[] parts = size.toLowerCase(Locale.ROOT).split("x", 2);
            int width = Integer.parseInt(parts[0].trim());
            int height = parts.length == 1 ? width : Integer.parseInt(parts[1].trim());
            if (width > 0 && height > 0) {
                return new int[] {width, height};
            }
        } catch (NumberFormatException e) {
            // The same mistake.
        }
        throw new InvalidRequestException("--size '" + size + "': expected a positive number or WIDTHxHEIGHT, e.g. 512x768");
    }
}
