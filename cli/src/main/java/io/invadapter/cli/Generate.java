package io.invadapter.cli;

import io.invadapter.engine.FacePicture;
import io.invadapter.engine.GenerationRequest;
import io.invadapter.engine.GenerationResult;
import io.invadapter.engine.IdentityRows;
import io.invadapter.engine.InvalidRequestException;
import io.invadapter.engine.Pipeline;
import io.invadapter.engine.model.IdentityLayers;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.ThreadLocalRandom;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A prompt and, if wanted, a face in; pictures out. */
@Command(name = "generate", mixinStandardHelpOptions = true, description = "Makes pictures from a prompt, of the person in --face when given.")
final class Generate implements Callable<Integer> {
    @Mixin
    private ModelOptions options;

    @Option(names = "--face", paramLabel = "FILE", description = "picture of the person to keep; without it plain text to image")
    private Path face;

    @Option(names = "--prompt", required = true, description = "what to show")
    private String prompt;

    @Option(names = "--negative", defaultValue = "", description = "what not to show")
    private String negative;

    @Option(names = "--steps", description = "1 to 1000 (default: 20 for the bundled model, 50 for others)")
    private Integer steps;

    @Option(names = "--guidance", description = "classifier-free guidance; 1 is none (default: 3.5 for the bundled model, 7.5 for others)")
    private Double guidance;

    @Option(names = "--id-scale", description = "how strongly the person is kept, 0 to about 1.2 (default: what the adapter recommends)")
    private Double identityScale;

    @Option(names = "--id-layers", defaultValue = "BOTH", description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE})")
    private IdentityLayers identityLayers;

    @Option(names = "--id-rows", defaultValue = "PROMPT", description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE})")
    private IdentityRows identityRows;

    @Option(names = "--caption", defaultValue = "a portrait of a person", description = "describes the face's picture (default: ${DEFAULT-VALUE})")
    private String caption;

    @Option(names = "--seed", description = "of the first picture (default: random, and printed)")
    private Long seed;

    @Option(names = "--count", defaultValue = "1", description = "pictures, with seeds seed, seed+1, … (default: ${DEFAULT-VALUE})")
    private int count;

    @Option(names = "--size", paramLabel = "WxH", description = "in pixels, e.g. 512x768 or 512 (default: the model's own)")
    private String size;

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", defaultValue = "out.png", description = "PNG; several become out-1.png, … (default: ${DEFAULT-VALUE})")
    private Path output;

    @Override
    public Integer call() throws Exception {
        int[] pixels = size();
        if (count < 1) {
            throw new InvalidRequestException("--count must be at least 1, not " + count);
        }
        for (int i = 0; i < count; i++) {
            Png.checkWritable(file(i));
        }
        BufferedImage picture = face == null ? null : FacePicture.read(face, options::warn);
        int stepCount = steps != null ? steps : options.bundled() ? 20 : 50;
        double guidanceScale = guidance != null ? guidance : options.bundled() ? 3.5 : 7.5;
        long firstSeed = seed != null ? seed : ThreadLocalRandom.current().nextLong(1L << 32);
        try (Pipeline pipeline = options.open(); Progress progress = new Progress(options.quiet)) {
            double scale = identityScale != null ? identityScale : options.bundled() ? 1 : pipeline.defaultIdentityScale();
            int width = pixels == null ? pipeline.defaultWidth() : pixels[0];
            int height = pixels == null ? pipeline.defaultHeight() : pixels[1];
            GenerationResult result = pipeline.generate(GenerationRequest.builder().prompt(prompt).negativePrompt(negative)
                    .face(picture).caption(caption).steps(stepCount).guidanceScale(guidanceScale).identityScale(scale)
                    .identityLayers(identityLayers).identityRows(identityRows).seed(firstSeed).count(count)
                    .size(width, height).listener(progress).build());
            progress.close();
            result.warnings().forEach(options::warn);
            for (int i = 0; i < count; i++) {
                String parameters = parameters(stepCount, guidanceScale, firstSeed + i, width, height, scale);
                Png.write(result.images().get(i), parameters, file(i));
                if (!options.quiet) {
                    System.out.println(file(i) + (seed == null ? " (seed " + (firstSeed + i) + ")" : ""));
                }
            }
        }
        return 0;
    }

    private String parameters(int stepCount, double guidanceScale, long pictureSeed, int width, int height, double scale) {
        String text = prompt + (negative.isEmpty() ? "" : "\nNegative prompt: " + negative)
                + String.format(Locale.ROOT, "%nSteps: %d, Sampler: DDIM, CFG scale: %s, Seed: %d, Size: %dx%d, Model: %s",
                stepCount, guidanceScale, pictureSeed, width, height, options.modelName());
        return (face == null ? text : text + String.format(Locale.ROOT, ", Inv-Adapter scale: %s, Inv-Adapter caption: \"%s\"",
                scale, caption)).replace("\r\n", "\n");
    }

    private Path file(int index) {
        if (count == 1) {
            return output;
        }
        String name = output.getFileName().toString();
        int dot = name.lastIndexOf('.') > 0 ? name.lastIndexOf('.') : name.length();
        return output.resolveSibling(name.substring(0, dot) + "-" + (index + 1) + name.substring(dot));
    }

    private int[] size() {
        if (size == null) {
            return null;
        }
        try {
            String[] parts = size.toLowerCase(Locale.ROOT).split("x", 2);
            int width = Integer.parseInt(parts[0].trim());
            return new int[] {width, parts.length == 1 ? width : Integer.parseInt(parts[1].trim())};
        } catch (NumberFormatException e) {
            throw new InvalidRequestException("--size '" + size + "': expected a number or WIDTHxHEIGHT, e.g. 512x768");
        }
    }
}
