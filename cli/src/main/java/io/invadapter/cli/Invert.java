package io.invadapter.cli;

import io.invadapter.engine.FacePicture;
import io.invadapter.engine.InversionResult;
import io.invadapter.engine.Pipeline;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A face to noise and back. */
@Command(name = "invert", mixinStandardHelpOptions = true, description = "Turns a face into noise and back, and tells how much was lost.")
final class Invert implements Callable<Integer> {
    @Mixin
    private ModelOptions options;

    @Option(names = "--face", paramLabel = "FILE", required = true, description = "the picture")
    private Path face;

    @Option(names = "--caption", defaultValue = "a portrait of a person", description = "describes it (default: ${DEFAULT-VALUE})")
    private String caption;

    @Option(names = "--steps", description = "1 to 1000 (default: 20 for the bundled model, 50 for others)")
    private Integer steps;

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", defaultValue = "reconstruction.png", description = "PNG (default: ${DEFAULT-VALUE})")
    private Path output;

    @Override
    public Integer call() throws Exception {
        Png.checkWritable(output);
        BufferedImage picture = FacePicture.read(face, options::warn);
        try (Pipeline pipeline = options.open(); Progress progress = new Progress(options.quiet)) {
            InversionResult result = pipeline.invert(picture, caption, steps != null ? steps : options.bundled() ? 20 : 50, progress);
            progress.close();
            Png.write(result.reconstruction(), null, output);
            System.out.printf(Locale.ROOT, "%s: relative error of the latents %.4f%n", output, result.error());
        }
        return 0;
    }
}
