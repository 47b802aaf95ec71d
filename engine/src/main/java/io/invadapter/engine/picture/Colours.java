package io.invadapter.engine.picture;

import io.invadapter.base.InvalidRequestException;
import java.awt.Transparency;
import java.awt.color.ColorSpace;
import java.awt.color.ICC_ColorSpace;
import java.awt.color.ICC_Profile;
import java.awt.image.BufferedImage;
import java.awt.image.ColorConvertOp;
import java.awt.image.ColorModel;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.Raster;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.stream.IntStream;

/** From the colours of a picture file to sRGB, where Java does something else. */
final class Colours {
    /** What a PNG file writes where it means sRGB: 1 / 2.2. */
    private static final int USUAL_GAMMA = 45455;
    private static final int GAMMA_TOLERANCE = 1000;
    /** White, red, green and blue of sRGB, x and y, in the unit of PNG. */
    private static final int[] USUAL_CHROMATICITIES = {31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000};
    private static final int CHROMATICITY_TOLERANCE = 500;
    private static final double PNG_UNIT = 100_000;
    /** ICC's 'para'. */
    private static final int PARAMETRIC_CURVE = 0x70617261;

    private Colours() {
    }

    /** How opaque a pixel is, where the file means something else than Java makes of it. */
    interface Opacity {
        Opacity AS_STORED = (value, stored, max) -> stored;

        /** @param value of the pixel's first colour; @param stored what Java takes for its opacity; @param max opaque */
        int of(int value, int stored, int max);
    }

    /** As {@link #asWritten(BufferedImage, Opacity)}, as opaque as Java says. */
    static BufferedImage asWritten(BufferedImage picture) {
        return asWritten(picture, Opacity.AS_STORED);
    }

    /** Without the channel that Java takes for opacity. */
    static BufferedImage opaque(BufferedImage picture) {
        ColorModel colours = picture.getColorModel();
        int bands = colours.getNumColorComponents();
        ColorModel fewer = new ComponentColorModel(colours.getColorSpace(), false, false, Transparency.OPAQUE, colours.getTransferType());
        return new BufferedImage(fewer, picture.getRaster().createWritableChild(0, 0, picture.getWidth(), picture.getHeight(), 0, 0,
                IntStream.range(0, bands).toArray()), false, null);
    }

    /**
     * A picture whose values Java takes for linear light, though no file says so: grey of all kinds, and RGB that a TIFF
     * file keeps as YCbCr. Its values become those of sRGB as they are; other pictures stay what they are.
     *
     * @throws InvalidRequestException when the values are no whole numbers of at most 16 bits
     */
    static BufferedImage asWritten(BufferedImage picture, Opacity means) {
        ColorModel colours = picture.getColorModel();
        ColorSpace space = colours.getColorSpace();
        // A profile from a file is a space of its own, never one of Java's two.
        if (space != ColorSpace.getInstance(ColorSpace.CS_GRAY) && space != ColorSpace.getInstance(ColorSpace.CS_LINEAR_RGB)) {
            return picture;
        }
        int kind = colours.getTransferType();
        if (kind != DataBuffer.TYPE_BYTE && kind != DataBuffer.TYPE_USHORT) {
            throw new InvalidRequestException(PictureReader.FOREIGN_NUMBERS);
        }
        int bands = colours.getNumComponents();
        boolean grey = colours.getNumColorComponents() == 1;
        boolean alpha = colours.hasAlpha();
        int max = (1 << colours.getComponentSize(0)) - 1;
        int width = picture.getWidth();
        BufferedImage rgb = new BufferedImage(width, picture.getHeight(), alpha ? BufferedImage.TYPE_INT_ARGB : BufferedImage.TYPE_INT_RGB);
        Raster raster = picture.getRaster();
        int[] values = new int[width * bands];
        int[] pixels = new int[width];
        for (int y = 0; y < picture.getHeight(); y++) {
            raster.getPixels(0, y, width, 1, values);
            for (int x = 0; x < width; x++) {
                int at = x * bands;
                int opacity = alpha ? means.of(values[at], values[at + bands - 1], max) : max;
                // Premultiplied colours are parts of the opacity.
                int whole = picture.isAlphaPremultiplied() ? Math.max(opacity, 1) : max;
                int r = to8Bits(values[at], whole);
                int g = grey ? r : to8Bits(values[at + 1], whole);
                int b = grey ? r : to8Bits(values[at + 2], whole);
                pixels[x] = to8Bits(opacity, max) << 24 | r << 16 | g << 8 | b;
            }
            rgb.setRGB(0, y, width, 1, pixels, 0, width);
        }
        return rgb;
    }

    private static int to8Bits(int value, int max) {
        return Math.min(255, (value * 255 + max / 2) / max);
    }

    /**
     * The profile of a PNG file's colours, which Java's reader ignores.
     *
     * @return {@code null}: sRGB
     * @throws IOException             when what the file says is damaged; so are other exceptions of the runtime
     * @throws InvalidRequestException when the colours are of a kind that is not converted
     */
    static ICC_Profile profile(PngChunks png) throws IOException {
        if (png.has("iCCP")) {
            return ICC_Profile.getInstance(png.profile());
        }
        if (png.has("cICP")) {
            int primaries = png.get("cICP").get(0);
            int curve = png.get("cICP").get(1);
            if (primaries != 1 || curve != 1 && curve != 6 && curve != 13) {
                throw new InvalidRequestException("its colours are those of a film or a wide screen (cICP " + primaries + ", " + curve
                        + "); save it as an sRGB picture first");
            }
            return null;
        }
        return png.has("sRGB") ? null : fromGamma(png);
    }

    /** The profile that gAMA stands for; {@code null} when it is absent or that of sRGB. */
    private static ICC_Profile fromGamma(PngChunks png) {
        if (png.has("cHRM")) {
            int[] chromaticities = new int[USUAL_CHROMATICITIES.length];
            png.get("cHRM").asIntBuffer().get(chromaticities);
            for (int i = 0; i < chromaticities.length; i++) {
                if (Math.abs(chromaticities[i] - USUAL_CHROMATICITIES[i]) > CHROMATICITY_TOLERANCE) {
                    throw new InvalidRequestException("its red, green and blue are not those of sRGB (cHRM); save it as an sRGB picture first");
                }
            }
        }
        int gamma = png.has("gAMA") ? png.get("gAMA").getInt() : USUAL_GAMMA;
        if (gamma <= 0 || Math.abs(gamma - USUAL_GAMMA) <= GAMMA_TOLERANCE) {
            return null;
        }
        // Java's own profile cannot be changed, a copy can.
        ICC_Profile profile = ICC_Profile.getInstance(ICC_Profile.getInstance(ColorSpace.CS_sRGB).getData());
        int exponent = (int) Math.round(65536 * PNG_UNIT / gamma);
        byte[] curve = ByteBuffer.allocate(16).putInt(PARAMETRIC_CURVE).putInt(0).putInt(0).putInt(exponent).array();
        for (int tag : new int[] {ICC_Profile.icSigRedTRCTag, ICC_Profile.icSigGreenTRCTag, ICC_Profile.icSigBlueTRCTag}) {
            profile.setData(tag, curve);
        }
        return profile;
    }

    /** An sRGB picture read anew as one of the profile's colours, and converted. */
    static BufferedImage convert(BufferedImage picture, ICC_Profile profile) {
        BufferedImage direct = picture;
        if (!(picture.getColorModel() instanceof ComponentColorModel)) {
            // A palette.
            direct = new BufferedImage(picture.getWidth(), picture.getHeight(),
                    picture.getColorModel().hasAlpha() ? BufferedImage.TYPE_4BYTE_ABGR : BufferedImage.TYPE_3BYTE_BGR);
            for (int y = 0; y < picture.getHeight(); y++) {
                int[] row = picture.getRGB(0, y, picture.getWidth(), 1, null, 0, picture.getWidth());
                direct.setRGB(0, y, picture.getWidth(), 1, row, 0, picture.getWidth());
            }
        }
        ColorModel colours = direct.getColorModel();
        ColorModel meant = new ComponentColorModel(new ICC_ColorSpace(profile), colours.hasAlpha(), colours.isAlphaPremultiplied(),
                colours.getTransparency(), colours.getTransferType());
        BufferedImage result = new BufferedImage(picture.getWidth(), picture.getHeight(),
                colours.hasAlpha() ? BufferedImage.TYPE_INT_ARGB : BufferedImage.TYPE_INT_RGB);
        return new ColorConvertOp(null).filter(new BufferedImage(meant, direct.getRaster(), meant.isAlphaPremultiplied(), null), result);
    }
}
