package io.invadapter.cli;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.InversionResult;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** One picture that shows what the adapter does, with the bundled model. */
@Command(name = "demo", sortOptions = false, description = "Makes one picture that shows the adapter at work, with the bundled model: faces, "
        + "their reconstructions, and new pictures without and with the adapter.")
final class Demo implements Callable<Integer> {
    private static final String CAPTION = "a portrait of a person";
    private static final List<String> PROMPTS = List.of(
            "a happy person wearing a hoodie in red, blue background",
            "a serious person wearing a sweater in yellow, green background",
            "a surprised person wearing overalls in mint, dark background",
            "a smiling person wearing a t-shirt in white, pink background");
    private static final int FACES = 3;
    private static final int STEPS = 20;
    private static final double GUIDANCE = 3.5;

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", defaultValue = "demo.png", description = "PNG, JPEG or WebP, by its name; -: standard output, as PNG (default: ${DEFAULT-VALUE})")
    private Path output;

    @Mixin
    private DeviceOptions device;

    @Override
    public Integer call() throws Exception {
        Output out = new Output(output, 1);
        List<String> columns = new ArrayList<>(List.of("the face", "its reconstruction from noise"));
        PROMPTS.forEach(prompt -> columns.add("“" + prompt + "”"));
        Sheet sheet = new Sheet(columns, 2 * FACES);
        try (Pipeline pipeline = device.open(Pipeline.builder().model(BundledModel.directory()).adapter(BundledModel.adapter()));
                Progress progress = new Progress(device.quiet())) {
            for (int i = 0; i < FACES; i++) {
                BufferedImage face = BundledModel.faces().get(i);
                InversionResult inversion = pipeline.invert(face, CAPTION, STEPS, progress);
                sheet.add("without the adapter", row(pipeline, inversion, null, 100 + i, progress));
                sheet.add("with the adapter", row(pipeline, inversion, face, 100 + i, progress));
            }
        }
        out.write(sheet.picture(), null, 0);
        if (!device.quiet()) {
            out.say(out.name(0));
        }
        return 0;
    }

    private static List<BufferedImage> row(Pipeline pipeline, InversionResult inversion, BufferedImage face, long seed, Progress progress) {
        List<BufferedImage> row = new ArrayList<>(List.of(inversion.face(), inversion.reconstruction()));
        for (String prompt : PROMPTS) {
            row.add(pipeline.generate(GenerationRequest.builder().prompt("a portrait of " + prompt).face(face).caption(CAPTION)
                    .steps(STEPS).guidanceScale(GUIDANCE).seed(seed).listener(progress).build()).images().getFirst());
        }
        return row;
    }
}
