package io.invadapter.cli;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.pipeline.PictureParameters;
import io.invadapter.engine.pipeline.LoraFolder;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.engine.request.ProgressListener;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ThreadLocalRandom;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** A prompt and, if wanted, a face in; pictures out. */
@Command(name = "generate", sortOptions = false, description = "Makes pictures from a prompt, of the person in --face when given.")
final class Generate implements Callable<Integer> {
    private static final int MAX_COUNT = 1000;
    /** Pictures of one request at most: its result holds all of them. */
    private static final int PER_REQUEST = 32;
    private static final long RANDOM_SEED = -1;
    /** What says something about the picture in {@code --init}. */
    private static final List<String> OF_AN_INIT = List.of("--strength", "--mask");
    /** What says something about the person in {@code --face}. */
    private static final List<String> OF_A_FACE = List.of("--caption", "--id-scale", "--id-layers", "--id-rows", "--identity-cache");

    @Option(names = "--prompt", paramLabel = "TEXT", description = "what to show")
    private String prompt;

    @Option(names = "--prompts", paramLabel = "FILE", description = "in place of --prompt: a text file with a prompt on each line, UTF-8; -: standard input")
    private Path promptFile;

    @Option(names = "--negative", paramLabel = "TEXT", defaultValue = "", description = "what not to show")
    private String negative;

    @Option(names = "--face", paramLabel = "FILE", description = "picture of the person to keep, of which the middle square is used; "
            + "sample:1 to sample:5 come with this program (default: plain text to image)")
    private PictureOption face;

    @Option(names = "--caption", paramLabel = "TEXT", defaultValue = "a portrait of a person", description = "describes the face's picture (default: ${DEFAULT-VALUE})")
    private String caption;

    @Option(names = "--init", paramLabel = "FILE", description = "picture to start from; scaled to cover --size, if given, and cut at the middle (default: noise)")
    private PictureOption init;

    @Option(names = "--strength", paramLabel = "X", description = "how much of --init is changed, more than 0 to 1: of the steps as many are run (default: 0.75; 1 with --mask)")
    private Double strength;

    @Option(names = "--mask", paramLabel = "FILE", description = "picture of the size of --init: where it is white, --init is repainted, and where it is black it stays as it is")
    private PictureOption mask;

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", defaultValue = "out.png", description = "PNG, JPEG or WebP, by its name; several become out-1.png, out-2.png, …; "
            + "-: standard output, as PNG (default: ${DEFAULT-VALUE})")
    private Path output;

    @Option(names = "--count", paramLabel = "N", defaultValue = "1", description = "pictures of each prompt, with seeds S, S+1, … (default: ${DEFAULT-VALUE})")
    private Integer count;

    @Option(names = "--seed", paramLabel = "S", description = "of a prompt's first picture; -1: random, and printed (default: -1)")
    private Long seed;

    @Option(names = "--size", paramLabel = "WxH", description = "in pixels, e.g. 512x768 or 512 (default: that of --init, or the model's own)")
    private String size;

    @Mixin
    private ModelOptions model;

    @Option(names = "--lora-dir", paramLabel = "FOLDER", description = "where the LoRAs are that a prompt asks for: <lora:NAME>, <lora:NAME:0.8> or, for text encoder "
            + "and UNet, <lora:NAME:0.5:1> is NAME.safetensors somewhere below it")
    private Path loraFolder;

    @Option(names = "--guidance", paramLabel = "X", description = "how closely the prompt is followed; 1: no guidance (default: 3.5 for the bundled model, 7.5 for others that do not say)")
    private Double guidance;

    @Option(names = "--guidance-rescale", paramLabel = "X", defaultValue = "0", description = "how much of the contrast that guidance adds is taken back, 0 to 1; about 0.7 for models of zero terminal SNR (default: ${DEFAULT-VALUE})")
    private Double guidanceRescale;

    @Option(names = "--sampler", paramLabel = "NAME", defaultValue = "", description = "how the steps are made, by the name that stable-diffusion-webui, ComfyUI or diffusers has for it, e.g. \"DPM++ 2M Karras\" or euler_ancestral (default: DDIM with a face, else the model's own)")
    private String sampler;

    @Option(names = "--plain-prompts", description = "reads prompts word for word: (word:1.3), [word] and BREAK mean nothing, and what is longer than 75 tokens is cut; <lora:...> is a tag all the same")
    private boolean plainPrompts;

    @Option(names = "--clip-skip", paramLabel = "N", description = "the layer of the text encoder that is read, counted from the last: 1, or 2 for many anime models (default: the model's own)")
    private Integer clipSkip;

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

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws Exception {
        if (face == null) {
            OF_A_FACE.stream().filter(spec.commandLine().getParseResult()::hasMatchedOption).findFirst().ifPresent(option -> {
                throw new InvalidRequestException(option + " is about the person in --face; there is no --face");
            });
        }
        if (init == null) {
            OF_AN_INIT.stream().filter(spec.commandLine().getParseResult()::hasMatchedOption).findFirst().ifPresent(option -> {
                throw new InvalidRequestException(option + " is about the picture in --init; there is no --init");
            });
        }
        BufferedImage original = init == null ? null : init.readInit(device::warn);
        BufferedImage repainted = mask == null ? null : mask.readInit(device::warn);
        List<GenerationRequest.Builder> requests = new ArrayList<>();
        LoraFolder loras = loraFolder == null ? null : new LoraFolder(loraFolder);
        boolean random = seed == null || seed == RANDOM_SEED;
        long firstSeed = random ? ThreadLocalRandom.current().nextLong(1L << 32) : seed;
        for (String text : prompts()) {
            requests.add(request(text, firstSeed, original, repainted).loras(loras(text, loras)));
        }
        model.check(face != null);
        Output out = new Output(output, pictures(requests.size()));
        BufferedImage person = face == null ? null : face.readFace(device::warn);
        try (Pipeline pipeline = device.open(model.pipeline().identityBudget(identities())); Progress progress = new Progress(device.quiet())) {
            int first = 0;
            for (GenerationRequest.Builder builder : requests) {
                for (int made = 0; made < count; made += PER_REQUEST) {
                    builder.face(person).seed(firstSeed + made).count(Math.min(PER_REQUEST, count - made));
                    GenerationResult result = generate(pipeline, builder, progress, out, first + made, random);
                    if (made == 0) {
                        result.warnings().forEach(device::warn);
                    }
                }
                first += count;
            }
        }
        return 0;
    }

    /** Writes each picture as soon as it is finished. @param first number of the request's first picture among all */
    private GenerationResult generate(Pipeline pipeline, GenerationRequest.Builder builder, Progress progress, Output out, int first,
            boolean random) throws IOException {
        GenerationRequest request = builder.build();
        try {
            return pipeline.generate(builder.listener(new ProgressListener() {
                @Override
                public void onStep(String phase, int step, int steps) {
                    if (!phase.equals("decoding")) {
                        progress.onStep(phase, step, steps);
                    }
                }

                @Override
                public void onPicture(int index, BufferedImage picture) {
                    progress.close();
                    try {
                        out.write(picture, PictureParameters.of(request, index, pipeline, model.modelName()), first + index);
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                    if (!device.quiet()) {
                        out.say(out.name(first + index) + (random ? " (seed " + (request.seed() + index) + ")" : ""));
                    }
                }
            }).build());
        } catch (CancellationException e) {
            if (e.getCause() instanceof UncheckedIOException unwritten) {
                throw unwritten.getCause();
            }
            throw e;
        }
    }

    private List<String> prompts() throws IOException {
        if ((prompt == null) == (promptFile == null)) {
            throw new ParameterException(spec.commandLine(), prompt == null ? "expected a --prompt, or a file of --prompts"
                    : "--prompt and --prompts exclude each other");
        }
        if (prompt != null) {
            return List.of(prompt);
        }
        return PromptFile.read(promptFile);
    }

    private int pictures(int prompts) {
        try {
            return Math.multiplyExact(prompts, count);
        } catch (ArithmeticException e) {
            throw new InvalidRequestException(prompts + " prompts with " + count + " pictures each are too many");
        }
    }

    /** Everything but the face; mistakes are found before anything is loaded. */
    private GenerationRequest.Builder request(String text, long firstSeed, BufferedImage original, BufferedImage repainted) {
        if (count < 1 || count > MAX_COUNT) {
            throw new InvalidRequestException("count must be between 1 and " + MAX_COUNT + ", not " + count);
        }
        GenerationRequest.Builder request = model.request().prompt(text).negativePrompt(negative).caption(caption).sampler(sampler).guidanceRescale(guidanceRescale)
                .identityLayers(identityLayers).identityRows(identityRows).seed(firstSeed);
        request.promptSyntax(!plainPrompts);
        if (clipSkip != null) {
            if (clipSkip < 1) {
                throw new InvalidRequestException("--clip-skip must be 1 or more, not " + clipSkip);
            }
            request.clipSkip(clipSkip);
        }
        request.init(original).mask(repainted);
        if (strength != null) {
            request.strength(strength);
        }
        if (guidance != null) {
            request.guidanceScale(guidance);
        }
        if (identityScale != null) {
            if (identityScale.isNaN()) {
                throw new InvalidRequestException("--id-scale must be a number, not " + identityScale);
            }
            request.identityScale(identityScale);
        }
        if (size != null) {
            int[] pixels = size();
            request.size(pixels[0], pixels[1]);
        }
        Pipeline.requireSampler(sampler);
        request.build();
        return request;
    }

    private static List<LoraUse> loras(String text, LoraFolder folder) {
        if (folder == null) {
            LoraFolder.tags(text).stream().findFirst().ifPresent(tag -> {
                throw new InvalidRequestException("the prompt asks for the LoRA " + tag + "; the folder that it is in is expected as --lora-dir");
            });
            return List.of();
        }
        return folder.of(text);
    }

    private IdentityBudget identities() {
        if (identityCache == null) {
            return null;
        }
        Checks.decoded(identityCache);
        if (Files.exists(identityCache) && !Files.isDirectory(identityCache)) {
            throw new InvalidRequestException("--identity-cache " + identityCache + ": this is no folder");
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
