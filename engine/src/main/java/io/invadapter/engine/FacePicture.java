package io.invadapter.engine;

import io.invadapter.engine.model.Latents;
import io.invadapter.engine.model.Vae;
import io.invadapter.weights.WeightException;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferInt;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.function.Consumer;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;

/** Pictures in and out of the model: reading with clear refusals, scaling, and the step between pixels and [-1, 1]. */
public final class FacePicture {
    private static final int MIN_SIZE = 32;
    private static final long MAX_PIXELS = 200_000_000;

    private FacePicture() {
    }

    /**
     * Reads a picture file.
     *
     * @param warnings told, in one sentence each, what was done to a picture with transparency and what seems damaged
     * @throws InvalidRequestException when it is no still RGB or grey picture of at least 32 x 32 pixels
     */
    public static BufferedImage read(Path file, Consumer<String> warnings) {
        if (Files.isDirectory(file)) {
            throw new InvalidRequestException(file + ": a folder; expected a picture file");
        }
        if (!Files.isRegularFile(file)) {
            throw new InvalidRequestException(file + ": there is no such picture file");
        }
        if (!Files.isReadable(file)) {
            throw new InvalidRequestException(file + ": access denied");
        }
        try (ImageInputStream stream = ImageIO.createImageInputStream(file.toFile())) {
            Iterator<ImageReader> readers = stream == null ? null : ImageIO.getImageReaders(stream);
            if (readers == null || !readers.hasNext()) {
                throw new InvalidRequestException(file + (Files.size(file) == 0 ? ": the file is empty"
                        : ": not a picture this Java can read; expected PNG, JPEG, BMP, GIF or TIFF"));
            }
            ImageReader reader = readers.next();
            try {
                reader.setInput(stream);
                return read(file, reader, warnings);
            } finally {
                reader.dispose();
            }
        } catch (InvalidRequestException e) {
            throw e;
        } catch (IOException | RuntimeException e) {
            // A damaged file makes the readers of the JDK throw nearly anything.
            boolean foreignColours = String.valueOf(e.getMessage()).contains("Unsupported Image Type");
            throw new InvalidRequestException(file + (foreignColours ? ": its colours are CMYK or another kind that Java cannot "
                    + "read; save it as an RGB picture first" : ": the picture is damaged and cannot be read"));
        }
    }

    private static BufferedImage read(Path file, ImageReader reader, Consumer<String> warnings) throws IOException {
        int frames = reader.getFormatName().equalsIgnoreCase("gif") ? reader.getNumImages(true) : 1;
        if (frames > 1) {
            throw new InvalidRequestException(file + ": an animation of " + frames + " frames; expected one still picture");
        }
        int width = reader.getWidth(0);
        int height = reader.getHeight(0);
        if (width < MIN_SIZE || height < MIN_SIZE) {
            throw new InvalidRequestException(file + ": " + width + " x " + height + " pixels are too few to show a face; "
                    + "expected at least " + MIN_SIZE + " x " + MIN_SIZE);
        }
        if ((long) width * height > MAX_PIXELS) {
            throw new InvalidRequestException(file + ": " + width + " x " + height + " pixels are more than this reads ("
                    + MAX_PIXELS / 1_000_000 + " million)");
        }
        reader.addIIOReadWarningListener((source, warning) -> warnings.accept(file + ": the picture seems damaged (" + warning + ")"));
        BufferedImage picture = readPixels(file, reader, width, height);
        if (picture.getColorModel().getNumColorComponents() > 3) {
            throw new InvalidRequestException(file + ": its colours are CMYK; save it as an RGB picture first");
        }
        if (isTransparent(picture)) {
            warnings.accept(file + ": transparent parts are taken as white");
        }
        return Orientation.of(file).upright(picture);
    }

    private static BufferedImage readPixels(Path file, ImageReader reader, int width, int height) throws IOException {
        try {
            return reader.read(0);
        } catch (IOException | OutOfMemoryError e) {
            // The PNG reader wraps the error.
            if (e instanceof OutOfMemoryError || e.getCause() instanceof OutOfMemoryError) {
                throw new InvalidRequestException(file + ": " + width + " x " + height + " pixels need more memory than Java has; "
                        + "make the picture smaller, or give Java more, e.g. with JAVA_TOOL_OPTIONS=-Xmx8g");
            }
            throw e;
        }
    }

    private static boolean isTransparent(BufferedImage picture) {
        if (picture.getColorModel().hasAlpha()) {
            for (int y = 0; y < picture.getHeight(); y++) {
                for (int x = 0; x < picture.getWidth(); x++) {
                    if (picture.getRGB(x, y) >>> 24 != 255) {
                        return true;
                    }
                }
            }
        }
        return false;
    }

    /** The largest centred square, scaled to {@code size} pixels, opaque RGB; transparent parts become white. */
    static BufferedImage square(BufferedImage picture, int size) {
        int side = Math.min(picture.getWidth(), picture.getHeight());
        int left = (picture.getWidth() - side) / 2;
        int top = (picture.getHeight() - side) / 2;
        BufferedImage rgb = new BufferedImage(side, side, BufferedImage.TYPE_INT_RGB);
        Graphics2D g = rgb.createGraphics();
        g.setColor(Color.WHITE);
        g.fillRect(0, 0, side, side);
        g.drawImage(picture, -left, -top, null);
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

    /** A picture as latents of the model's scale; the VAE's mean, for the same picture gives the same latents. */
    static Latents encode(BufferedImage picture, Vae vae) {
        return vae.encode(toModel(picture), picture.getHeight(), picture.getWidth()).mean().times(vae.scalingFactor());
    }

    /** The way back, of one row of latents. */
    static BufferedImage decode(Latents latents, Vae vae) {
        return fromModel(vae.decode(latents.times(1 / vae.scalingFactor())), 0, latents.width() * vae.factor(),
                latents.height() * vae.factor());
    }

    /** {@code [3, H, W]} in [-1, 1]. */
    static float[] toModel(BufferedImage picture) {
        int width = picture.getWidth();
        int height = picture.getHeight();
        float[] values = new float[3 * width * height];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int rgb = picture.getRGB(x, y);
                for (int c = 0; c < 3; c++) {
                    values[(c * height + y) * width + x] = (rgb >> 16 - 8 * c & 255) / 127.5f - 1;
                }
            }
        }
        return values;
    }

    /**
     * Picture {@code index} of {@code [B, 3, H, W]}; values outside [-1, 1] are clipped.
     *
     * @throws WeightException when a value is not a number: what would be black says nothing about the reason
     */
    static BufferedImage fromModel(float[] values, int index, int width, int height) {
        BufferedImage picture = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int rgb = 0;
                for (int c = 0; c < 3; c++) {
                    float v = values[((index * 3 + c) * height + y) * width + x];
                    if (Float.isNaN(v)) {
                        throw new WeightException("the picture came out as not-a-number: the model's or the adapter's weights are "
                                + "damaged, a scale is far too large, or the precision is too low (try fp32)");
                    }
                    rgb = rgb << 8 | Math.clamp(Math.round((v + 1) * 127.5f), 0, 255);
                }
                picture.setRGB(x, y, rgb);
            }
        }
        return picture;
    }
}
