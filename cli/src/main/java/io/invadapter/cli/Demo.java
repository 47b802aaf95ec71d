package io.invadapter.cli;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.GenerationRequest;
import io.invadapter.engine.InversionResult;
import io.invadapter.engine.Pipeline;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** One picture that shows what the adapter does, with the bundled model. */
@Command(name = "demo", mixinStandardHelpOptions = true, description = "Shows faces, their reconstructions and new pictures without and with the adapter.")
final class Demo implements Callable<Integer> {
    private static final String CAPTION = "a portrait of a person";
    private static final List<String> PROMPTS = List.of(
            "a portrait of a happy person wearing a hoodie in red, blue background",
            "a portrait of a serious person wearing a sweater in yellow, green background",
            "a portrait of a surprised person wearing overalls in mint, dark background",
            "a portrait of a smiling person wearing a t-shirt in white, pink background");
    private static final List<String> PROMPT_LABELS = List.of("happy, red hoodie, blue", "serious, yellow sweater, green",
            "surprised, mint overalls, dark", "smiling, white t-shirt, pink");
    private static final int STEPS = 20;
    private static final int CELL = 160;
    private static final int LABEL = 22;

    @Option(names = {"-o", "--output"}, paramLabel = "FILE", defaultValue = "demo.png", description = "PNG (default: ${DEFAULT-VALUE})")
    private Path output;

    @Mixin
    private ModelOptions options;

    @Override
    public Integer call() throws Exception {
        Png.checkWritable(output);
        List<BufferedImage> faces = BundledModel.faces().subList(0, 3);
        int columns = 2 + PROMPTS.size();
        BufferedImage sheet = new BufferedImage(columns * (CELL + 8) + 8, faces.size() * 2 * (CELL + LABEL + 8) + 8, BufferedImage.TYPE_INT_RGB);
        Graphics2D g = sheet.createGraphics();
        g.setColor(Color.WHITE);
        g.fillRect(0, 0, sheet.getWidth(), sheet.getHeight());
        g.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        g.setRenderingHint(RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BICUBIC);
        g.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 11));
        try (Pipeline pipeline = options.open(); Progress progress = new Progress(options.quiet)) {
            for (int i = 0; i < faces.size(); i++) {
                InversionResult inversion = pipeline.invert(faces.get(i), CAPTION, STEPS, progress);
                cell(g, 0, 2 * i, inversion.face(), "face");
                cell(g, 1, 2 * i, inversion.reconstruction(), "reconstruction");
                for (int p = 0; p < PROMPTS.size(); p++) {
                    cell(g, 2 + p, 2 * i, picture(pipeline, p, i, null, progress), "without: " + PROMPT_LABELS.get(p));
                    cell(g, 2 + p, 2 * i + 1, picture(pipeline, p, i, faces.get(i), progress), "with: " + PROMPT_LABELS.get(p));
                }
            }
        } finally {
            g.dispose();
        }
        Png.write(sheet, null, output);
        System.out.println(output);
        return 0;
    }

    private static BufferedImage picture(Pipeline pipeline, int prompt, int seed, BufferedImage face, Progress progress) {
        return pipeline.generate(GenerationRequest.builder().prompt(PROMPTS.get(prompt)).face(face).caption(CAPTION)
                .steps(STEPS).guidanceScale(3.5).identityScale(1).seed(100 + seed).listener(progress).build()).images().getFirst();
    }

    private static void cell(Graphics2D g, int column, int row, BufferedImage picture, String label) {
        int x = 8 + column * (CELL + 8);
        int y = 8 + row * (CELL + LABEL + 8);
        g.drawImage(picture, x, y, CELL, CELL, null);
        g.setColor(Color.DARK_GRAY);
        Font font = g.getFont();
        while (g.getFontMetrics().stringWidth(label) > CELL && g.getFont().getSize() > 6) {
            g.setFont(g.getFont().deriveFont((float) g.getFont().getSize() - 1));
        }
        g.drawString(label, x, y + CELL + 15);
        g.setFont(font);
    }
}
