package io.invadapter.weights;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the network of a single file predicts, as far as the file, or a configuration of the original code beside it, says. */
final class Prediction {

    /** That of Stable Diffusion 1.x as it was published. */
    static final String EPSILON = "epsilon";

    /** In the .yaml that the original code keeps beside a checkpoint, in blocks or in braces. */
    private static final Pattern PARAMETERIZATION =
            Pattern.compile("(?m)^[^#\\n]*\\bparameterization[\"']?\\s*:\\s*[\"']?([^\\s\"'#,}]+)");

    private Prediction() {
    }

    /**
     * A {@code prediction_type} of diffusers. A tensor {@code v_pred}, usually empty, is how the programs that made the checkpoint
     * mark it.
     *
     * @throws WeightException for a network that was trained down to pure noise (Lin et al. 2023): programs differ in the
     *                         timesteps they sample such a file at, and a folder says them
     */
    static String of(Path path, WeightSource file) {
        if (file.contains("ztsnr")) {
            throw new WeightException(path + ": its tensor 'ztsnr' says that it was trained to zero terminal SNR, and a single file does not say "
                    + "at which timesteps that is sampled; convert it to a diffusers folder whose scheduler_config.json has "
                    + "rescale_betas_zero_snr and timestep_spacing");
        }
        return file.contains("v_pred") ? "v_prediction" : said(path, file);
    }

    private static String said(Path path, WeightSource file) {
        String metadata = file.metadata().get("modelspec.prediction_type");
        if (metadata != null) {
            return known(metadata, path + ": the metadata 'modelspec.prediction_type'");
        }
        Path yaml = path.resolveSibling(path.getFileName().toString().replaceFirst("\\.[^.]*$", "") + ".yaml");
        try {
            Matcher line = PARAMETERIZATION.matcher(Files.readString(yaml, StandardCharsets.ISO_8859_1));
            return line.find() ? known(line.group(1), yaml + ": parameterization") : EPSILON;
        } catch (NoSuchFileException e) {
            return EPSILON;
        } catch (IOException e) {
            throw new WeightException(yaml + " cannot be read: " + e.getMessage(), e);
        }
    }

    private static String known(String said, String where) {
        return switch (said) {
            case "eps", "epsilon" -> EPSILON;
            case "v", "v_prediction" -> "v_prediction";
            case "x0", "sample" -> "sample";
            default -> throw new WeightException(where + " is " + Json.quote(said) + " where epsilon, v or sample is expected");
        };
    }
}
