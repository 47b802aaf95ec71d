package io.invadapter.cli;

import io.invadapter.engine.pipeline.PictureParameters;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.engine.request.InversionResult;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A face to noise and back. */
@Command(name = "invert", sortOptions = false, description = "Turns a face into noise and back, to see how much of it the model can hold; "
        + "writes what came back and prints how far its latents are from the face's.")
final class Invert implements Callable<Integer> {
    @Option(names = "--face", paramLabel = "FILE", required = true, description = "the picture, of which the middle square is used; sample:1 to sample:5 come with "
            + "this program")
    private PictureOption face;

    @Option(names = "--caption", paramLabel = "TEXT", defaultValue = "a portrait of a person", description = "describes it (default: ${DEFAULT-VALUE})")
    private String caption;

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", defaultValue = "reconstruction.png", description = "PNG, JPEG or WebP, by its name; -: standard output, as PNG (default: ${DEFAULT-VALUE})")
    private Path output;

    @Mixin
    private ModelOptions model;

    @Mixin
    private DeviceOptions device;

    @Override
    public Integer call() throws Exception {
        model.request().caption(caption).build(); // refuses what cannot be before anything is loaded
        model.check(false);
        Output out = new Output(output, 1);
        BufferedImage picture = face.readFace(device::warn);
        try (Pipeline pipeline = device.open(model.pipeline()); Progress progress = new Progress(device.quiet())) {
            InversionResult result = pipeline.invert(picture, caption, model.steps(pipeline), progress);
            progress.close();
            result.warnings().forEach(device::warn);
            out.write(result.reconstruction(), PictureParameters.of(result, caption, model.steps(pipeline), pipeline, model.modelName()), 0);
            out.say(String.format(Locale.ROOT, "%s: relative error of the latents %.4f", out.name(0), result.error()));
        }
        return 0;
    }
}
