package io.invadapter.engine.picture;

import io.invadapter.base.InvalidRequestException;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferInt;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.function.Consumer;
import javax.imageio.stream.FileImageInputStream;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.MemoryCacheImageInputStream;

/** Pictures of faces: read with clear refusals, cut to a square and scaled. */
public final class FacePicture {
    /** Fewer pixels show no face. */
    private static final int MIN_SIZE = 32;

    private FacePicture() {
    }

    /**
     * Reads a picture file: upright as its notes say, its colours in sRGB.
     *
     * @param warnings told, in one sentence each, what was done to a picture with transparency and what seems damaged
     * @throws InvalidRequestException when it is no still RGB or grey picture of at least 32 x 32 pixels
     */
    public static BufferedImage read(Path file, Consumer<String> warnings) {
        Objects.requireNonNull(warnings, "warnings");
        if (Files.isDirectory(Objects.requireNonNull(file, "file"))) {
            throw new InvalidRequestException(file + ": a folder; expected a picture file");
        }
        if (!Files.exists(file)) {
            throw new InvalidRequestException(file + ": there is no such picture file");
        }
        if (!Files.isRegularFile(file)) {
            throw new InvalidRequestException(file + ": a pipe, a device or the like; expected a regular file");
        }
        if (!Files.isReadable(file)) {
            throw new InvalidRequestException(file + ": access denied");
        }
        try (ImageInputStream stream = new FileImageInputStream(file.toFile())) {
            return new PictureReader(file.toString(), stream, warnings).read();
        } catch (IOException e) {
            throw new InvalidRequestException(file + ": cannot be read: " + e.getMessage());
        }
    }

    /**
     * Reads a picture as {@link #read(Path, Consumer)} does, from a stream that is read to its end and stays open.
     *
     * @throws IOException when the stream fails
     */
    public static BufferedImage read(InputStream in, Consumer<String> warnings) throws IOException {
        return read(in.readAllBytes(), warnings);
    }

    /** Reads a picture as {@link #read(Path, Consumer)} does, from a file's content. */
    public static BufferedImage read(byte[] content, Consumer<String> warnings) {
        Objects.requireNonNull(content, "content");
        Objects.requireNonNull(warnings, "warnings");
        // Kept in memory, whatever ImageIO's own streams would do.
        return new PictureReader("the picture", new MemoryCacheImageInputStream(new ByteArrayInputStream(content)), warnings).read();
    }

    /** @throws InvalidRequestException when a picture is too small to show a face, wherever it comes from */
    public static void requireSize(int width, int height) {
        if (width < MIN_SIZE || height < MIN_SIZE) {
            throw new InvalidRequestException(width + " x " + height + " pixels are too few to show a face; expected at least "
                    + MIN_SIZE + " x " + MIN_SIZE);
        }
    }

    /** The largest centred square, scaled to {@code size} pixels, opaque RGB; transparent parts become white. */
    public static BufferedImage square(BufferedImage picture, int size) {
        int side = Math.min(picture.getWidth(), picture.getHeight());
        int left = (picture.getWidth() - side) / 2;
        int top = (picture.getHeight() - side) / 2;
        BufferedImage rgb = new BufferedImage(side, side, BufferedImage.TYPE_INT_RGB);
        Graphics2D g = rgb.createGraphics();
        g.setColor(Color.WHITE);
        g.fillRect(0, 0, side, side);
        g.drawImage(Colours.asWritten(picture), -left, -top, null);
        g.dispose();
        return side == size ? rgb : resize(rgb, size);
    }

    /** Bicubic (a = -0.5), the kernel widened when the picture shrinks so that nothing flickers between samples. */
    private static BufferedImage resize(BufferedImage source, int size) {
        int side = source.getWidth();
        int[] pixels = ((DataBufferInt) source.getRaster().getDataBuffer()).getData();
        float[][] weights = new float[size][];
        int[] first = new int[size];
        double scale = (double) side / size;
        double support = 2 * Math.max(scale, 1);
        for (int i = 0; i < size; i++) {
            double centre = (i + 0.5) * scale;
            first[i] = Math.max(0, (int) (centre - support + 0.5));
            int end = Math.min(side, (int) (centre + support + 0.5));
            weights[i] = new float[end - first[i]];
            double sum = 0;
            for (int k = 0; k < weights[i].length; k++) {
                double w = cubic((first[i] + k - centre + 0.5) / Math.max(scale, 1));
                weights[i][k] = (float) w;
                sum += w;
            }
            for (int k = 0; k < weights[i].length; k++) {
                weights[i][k] /= (float) sum;
            }
        }
        float[] rows = new float[side * size * 3];
        for (int y = 0; y < side; y++) {
            for (int x = 0; x < size; x++) {
                for (int k = 0; k < weights[x].length; k++) {
                    int rgb = pixels[y * side + first[x] + k];
                    int at = (y * size + x) * 3;
                    rows[at] += weights[x][k] * (rgb >> 16 & 255);
                    rows[at + 1] += weights[x][k] * (rgb >> 8 & 255);
                    rows[at + 2] += weights[x][k] * (rgb & 255);
                }
            }
        }
        BufferedImage result = new BufferedImage(size, size, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < size; y++) {
            for (int x = 0; x < size; x++) {
                int rgb = 0;
                for (int c = 0; c < 3; c++) {
                    float sum = 0;
                    for (int k = 0; k < weights[y].length; k++) {
                        sum += weights[y][k] * rows[((first[y] + k) * size + x) * 3 + c];
                    }
                    rgb = rgb << 8 | Math.clamp(Math.round(sum), 0, 255);
                }
                result.setRGB(x, y, rgb);
            }
        }
        return result;
    }

    private static double cubic(double x) {
        double t = Math.abs(x);
        return t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
    }
}
