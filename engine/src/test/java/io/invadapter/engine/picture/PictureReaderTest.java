package io.invadapter.engine.picture;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import java.awt.Transparency;
import java.awt.color.ColorSpace;
import java.awt.color.ICC_Profile;
import java.awt.image.BufferedImage;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.WritableRaster;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntUnaryOperator;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import org.junit.jupiter.api.Test;

/** Colours and orientation as other programs show them, whatever kind of file keeps them. */
class PictureReaderTest {
    private static final int SIZE = 64;
    private static final int GREY = 0;
    /** No sample of a TIFF is anything but a colour. */
    private static final int ALL_COLOURS = -1;
    private static final int RGB = 2;
    private static final int PALETTE = 3;
    private static final int GREY_ALPHA = 4;

    private final List<String> warnings = new ArrayList<>();

    private record Chunk(String type, byte[] content) {
    }

    @Test
    void aCompressionThatJavaDoesNotReadIsNamed() {
        byte[] file = tiff(2, 8, 3, ALL_COLOURS, 1, value -> value);
        // After the header, the number of tags, three tags and the fourth's number, type and count.
        int compression = 8 + 2 + 3 * 12 + 8;
        for (Object[] other : new Object[][] {{34925, "LZMA"}, {50000, "Zstandard"}, {50001, "WebP"}, {60000, "method 60000"}}) {
            ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).putInt(compression, (int) other[0]);
            assertRefused("it is compressed with " + other[1] + ", which Java cannot read", file);
        }
    }

    // --- grey -------------------------------------------------------------------------------------------------------

    @Test
    void greyKeepsItsValuesInEveryKindOfPng() throws IOException {
        assertRamp(png(8, GREY, 1));
        assertRamp(png(16, GREY, 1));
        assertRamp(png(8, GREY_ALPHA, 2));
        assertRamp(png(16, GREY_ALPHA, 2));
        // One transparent value, which no pixel has.
        assertRamp(png(8, GREY, 1, new Chunk("tRNS", new byte[] {0, 1})));
        assertRamp(png(16, GREY, 1, new Chunk("tRNS", new byte[] {0, 1})));
        assertEquals(List.of(), warnings);
    }

    @Test
    void theTransparentValueOfFewBitsBecomesWhite() throws IOException {
        for (int bits : new int[] {2, 4}) {
            int most = (1 << bits) - 1;
            byte[] rows = new byte[SIZE * (1 + SIZE * bits / 8)];
            for (int y = 0; y < SIZE; y++) {
                for (int x = 0; x < SIZE; x++) {
                    rows[y * (1 + SIZE * bits / 8) + 1 + x * bits / 8] |= (byte) ((x & most) << 8 - bits - x * bits % 8);
                }
            }
            BufferedImage seen = FacePicture.square(FacePicture.read(png(bits, GREY, rows, new Chunk("tRNS", new byte[] {0, 1})),
                    warnings::add), SIZE);
            for (int x = 0; x < SIZE; x++) {
                assertEquals((x & most) == 1 ? 255 : (x & most) * 255 / most, seen.getRGB(x, 9) & 255, bits + " bits, column " + x);
            }
        }
        assertEquals(2, warnings.size());
    }

    @Test
    void greyKeepsItsValuesInEveryKindOfTiff() {
        assertRamp(tiff(1, 8, 1, ALL_COLOURS, 1, value -> value));
        assertRamp(tiff(1, 16, 1, ALL_COLOURS, 1, value -> value * 257));
        assertRamp(tiff(1, 8, 2, 2, 1, value -> value));
        assertRamp(tiff(1, 16, 2, 2, 1, value -> value * 257));
        assertRamp(tiff(0, 8, 1, ALL_COLOURS, 1, value -> 255 - value));
        assertRamp(tiff(0, 16, 1, ALL_COLOURS, 1, value -> 65535 - value * 257));
        assertRamp(tiff(0, 8, 2, 2, 1, value -> 255 - value));
        assertRamp(tiff(0, 16, 2, 2, 1, value -> 65535 - value * 257));
        assertRamp(tiff(0, 8, 2, 1, 1, value -> 255 - value));
        assertEquals(List.of(), warnings);
    }

    @Test
    void transparentGreyIsLaidOnWhiteAsColoursAre() {
        // Half transparent, and in every second file multiplied by its opacity already; in the last two white is 0.
        for (byte[] file : new byte[][] {tiff(1, 8, 2, 2, 1, value -> value, 128), tiff(1, 8, 2, 1, 1, value -> value * 128 / 255, 128),
            tiff(0, 8, 2, 2, 1, value -> 255 - value, 128), tiff(0, 8, 2, 1, 1, value -> 255 - value * 128 / 255, 128)}) {
            BufferedImage seen = FacePicture.square(FacePicture.read(file, warnings::add), SIZE);
            for (int x = 0; x < SIZE; x++) {
                assertEquals(127 + x * 4 * 128 / 255, seen.getRGB(x, 9) & 255, 2, "column " + x);
            }
        }
        assertEquals(4, warnings.size());
        assertTrue(warnings.getFirst().contains("transparent parts are taken as white"));
    }

    @Test
    void whatATiffDoesNotCallOpacityIsNone() {
        assertRamp(tiff(1, 8, 2, 0, 1, value -> value, 40));
        assertRamp(tiff(0, 16, 2, 0, 1, value -> 65535 - value * 257, 40));
        assertRamp(tiff(2, 8, 4, 0, 1, value -> value, 40));
        assertRamp(tiff(2, 16, 4, 0, 1, value -> value * 257, 40));
        assertEquals(List.of("the picture: a channel of which the file does not say what it means is left out"), warnings.stream().distinct().toList());
    }

    @Test
    void greyWithAlphaThatAProgramMadeItself() {
        ComponentColorModel model = new ComponentColorModel(ColorSpace.getInstance(ColorSpace.CS_GRAY), true, false,
                Transparency.TRANSLUCENT, DataBuffer.TYPE_BYTE);
        WritableRaster raster = model.createCompatibleWritableRaster(SIZE, SIZE);
        for (int i = 0; i < SIZE * SIZE; i++) {
            raster.setPixel(i % SIZE, i / SIZE, new int[] {i % SIZE * 4, 255});
        }
        assertRamp(FacePicture.square(new BufferedImage(model, raster, false, null), SIZE), x -> x * 4);
    }

    @Test
    void aProfileOfGreyIsNotAppliedAndSaysSo() throws IOException {
        assertRamp(png(8, GREY, 1, profile(ColorSpace.CS_GRAY)));
        assertEquals(List.of("the picture: its grey profile is not applied"), warnings);
    }

    // --- colours ----------------------------------------------------------------------------------------------------

    @Test
    void theProfileOfAPngIsApplied() throws IOException {
        for (byte[] file : new byte[][] {png(8, RGB, 3, profile(ColorSpace.CS_LINEAR_RGB)), png(16, RGB, 3, profile(ColorSpace.CS_LINEAR_RGB)),
            png(8, PALETTE, 1, profile(ColorSpace.CS_LINEAR_RGB), palette()), png(16, RGB, 3, gamma(100_000)), png(8, PALETTE, 1, gamma(100_000), palette())}) {
            assertRamp(FacePicture.read(file, warnings::add), x -> encoded(x * 4 / 255.0));
        }
        assertRamp(FacePicture.read(png(8, RGB, 3, gamma(55_556)), warnings::add), x -> encoded(Math.pow(x * 4 / 255.0, 1.8)));
        assertEquals(List.of(), warnings);
    }

    @Test
    void whatOnlySaysThatItIsSrgbChangesNothing() throws IOException {
        Chunk usual = new Chunk("cHRM", chromaticities(31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000));
        assertRamp(png(8, RGB, 3, gamma(45_455), usual));
        assertRamp(png(8, RGB, 3, new Chunk("sRGB", new byte[1]), gamma(100_000)));
        assertRamp(png(8, RGB, 3, new Chunk("cICP", new byte[] {1, 13, 0, 1})));
        assertRamp(png(8, RGB, 3, profile(ColorSpace.CS_sRGB)));
        assertEquals(List.of(), warnings);
    }

    @Test
    void aProfileThatDoesNotFitIsNamed() throws IOException {
        assertRamp(png(8, RGB, 3, new Chunk("iCCP", "x\0\0no profile".getBytes(StandardCharsets.ISO_8859_1))));
        assertRamp(png(8, RGB, 3, profile(ColorSpace.CS_GRAY)));
        assertEquals(List.of("the picture: its colour profile does not fit and is not applied",
                "the picture: its colour profile does not fit and is not applied"), warnings);
    }

    @Test
    void coloursThatAreNotComputedAreRefused() throws IOException {
        assertRefused("cHRM", png(8, RGB, 3, new Chunk("cHRM", chromaticities(31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))));
        assertRefused("cICP 9, 16", png(8, RGB, 3, new Chunk("cICP", new byte[] {9, 16, 0, 1})));
        assertRefused("neither RGB nor grey", tiff(8, 8, 3, ALL_COLOURS, 1, value -> value));
        assertRefused("more than 16 bits", tiff(2, 32, 3, ALL_COLOURS, 1, value -> value));
        assertRefused("channels hold 4-bit numbers", tiff(2, 4, 4, 2, 1, value -> value));
        assertRefused("channels besides its colours", tiff(3, 8, 2, 2, 1, value -> value));
        assertRefused("more than 16 bits", tiff(1, 32, 1, ALL_COLOURS, 1, value -> value));
    }

    // --- orientation, kinds of files, streams -----------------------------------------------------------------------

    @Test
    void orientationOfTiffAndPng() throws IOException {
        // Where the ramp's dark end, on the left in the file, belongs: left, right, top or bottom.
        String sides = "lrrlttbb";
        for (int value = 1; value <= 8; value++) {
            byte[] exif = ByteBuffer.allocate(26).put("MM\0*".getBytes(StandardCharsets.US_ASCII)).putInt(8).putShort((short) 1)
                    .putShort((short) 0x0112).putShort((short) 3).putInt(1).putShort((short) value).array();
            for (byte[] file : new byte[][] {tiff(1, 8, 1, ALL_COLOURS, value, v -> v), tiff(1, 8, 2, 2, value, v -> v),
                png(8, GREY, 1, new Chunk("eXIf", exif)), png(8, GREY_ALPHA, 2, new Chunk("eXIf", exif))}) {
                BufferedImage seen = FacePicture.read(new ByteArrayInputStream(file), warnings::add);
                int dark = switch (sides.charAt(value - 1)) {
                    case 'l' -> seen.getRGB(0, 20);
                    case 'r' -> seen.getRGB(SIZE - 1, 20);
                    case 't' -> seen.getRGB(20, 0);
                    default -> seen.getRGB(20, SIZE - 1);
                };
                assertEquals(0xff000000, dark, "orientation " + value);
            }
        }
        assertEquals(List.of(), warnings);
    }

    @Test
    void formatsThatJavaCannotReadAreNamed() throws IOException {
        assertRefused("a picture in WebP, which Java reads with com.github.usefulness:webp-imageio on its class path only", "RIFF\1\0\0\0WEBPVP8L".getBytes(StandardCharsets.ISO_8859_1));
        assertRefused("a picture in AVIF", "\0\0\0 ftypavif\0\0\0\0".getBytes(StandardCharsets.ISO_8859_1));
        assertRefused("a picture in HEIC", "\0\0\0 ftypheic\0\0\0\0".getBytes(StandardCharsets.ISO_8859_1));
        assertRefused("the file is empty", new byte[0]);
        assertRefused("an animation of 3 frames", png(8, RGB, 3, new Chunk("acTL", ByteBuffer.allocate(8).putInt(3).array())));
    }

    @Test
    void aStreamThatFailsIsNoDamagedPicture() {
        InputStream broken = new InputStream() {
            @Override
            public int read() throws IOException {
                throw new IOException("connection reset");
            }
        };
        assertEquals("connection reset", assertThrows(IOException.class, () -> FacePicture.read(broken, warnings::add)).getMessage());
    }

    private void assertRefused(String part, byte[] file) {
        String message = assertThrows(InvalidRequestException.class, () -> FacePicture.read(file, warnings::add)).getMessage();
        assertTrue(message.startsWith("the picture: ") && message.contains(part) && !message.contains("\n"), message);
        assertEquals(List.of(), warnings);
    }

    private void assertRamp(byte[] file) {
        assertRamp(FacePicture.square(FacePicture.read(file, warnings::add), SIZE), x -> x * 4);
    }

    private static void assertRamp(BufferedImage seen, IntUnaryOperator expected) {
        for (int x = 0; x < SIZE; x++) {
            for (int shift = 0; shift < 24; shift += 8) {
                assertEquals(expected.applyAsInt(x), seen.getRGB(x, 5) >> shift & 255, 1, "column " + x);
            }
        }
    }

    /** Light as a value of sRGB. */
    private static int encoded(double light) {
        return (int) Math.round(255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * Math.pow(light, 1 / 2.4) - 0.055));
    }

    // --- files ------------------------------------------------------------------------------------------------------

    /** A ramp, four levels a column from the left to the right, opaque. */
    private static byte[] png(int depth, int colourType, int samples, Chunk... chunks) throws IOException {
        ByteArrayOutputStream rows = new ByteArrayOutputStream();
        for (int y = 0; y < SIZE; y++) {
            rows.write(0);
            for (int x = 0; x < SIZE; x++) {
                for (int s = 0; s < samples; s++) {
                    for (int bits = 0; bits < depth; bits += 8) {
                        rows.write(colourType == GREY_ALPHA && s == 1 ? 255 : x * 4);
                    }
                }
            }
        }
        return png(depth, colourType, rows.toByteArray(), chunks);
    }

    private static byte[] png(int depth, int colourType, byte[] rows, Chunk... chunks) throws IOException {
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        file.writeBytes(ByteBuffer.allocate(8).putLong(0x89504E470D0A1A0AL).array());
        write(file, new Chunk("IHDR", ByteBuffer.allocate(13).putInt(SIZE).putInt(SIZE).put((byte) depth).put((byte) colourType).array()));
        for (Chunk chunk : chunks) {
            write(file, chunk);
        }
        write(file, new Chunk("IDAT", deflated(rows)));
        write(file, new Chunk("IEND", new byte[0]));
        return file.toByteArray();
    }

    private static void write(ByteArrayOutputStream file, Chunk chunk) {
        ByteBuffer bytes = ByteBuffer.allocate(chunk.content.length + 12).putInt(chunk.content.length)
                .put(chunk.type.getBytes(StandardCharsets.US_ASCII)).put(chunk.content);
        CRC32 checksum = new CRC32();
        checksum.update(bytes.array(), 4, chunk.content.length + 4);
        file.writeBytes(bytes.putInt((int) checksum.getValue()).array());
    }

    private static byte[] deflated(byte[] bytes) {
        try (Deflater deflater = new Deflater()) {
            deflater.setInput(bytes);
            deflater.finish();
            byte[] result = new byte[bytes.length + 100];
            return ByteBuffer.allocate(deflater.deflate(result)).put(result, 0, (int) deflater.getBytesWritten()).array();
        }
    }

    private static Chunk profile(int space) {
        byte[] profile = deflated(ICC_Profile.getInstance(space).getData());
        return new Chunk("iCCP", ByteBuffer.allocate(profile.length + 3).put((byte) 'x').put((byte) 0).put((byte) 0).put(profile).array());
    }

    private static Chunk gamma(int value) {
        return new Chunk("gAMA", ByteBuffer.allocate(4).putInt(value).array());
    }

    /** Every value is that grey. */
    private static Chunk palette() {
        byte[] entries = new byte[3 * 256];
        for (int i = 0; i < entries.length; i++) {
            entries[i] = (byte) (i / 3);
        }
        return new Chunk("PLTE", entries);
    }

    private static byte[] chromaticities(int... values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length);
        bytes.asIntBuffer().put(values);
        return bytes.array();
    }

    /** The same ramp, opaque. */
    private static byte[] tiff(int photometric, int bits, int samples, int extraSample, int orientation, IntUnaryOperator values) {
        return tiff(photometric, bits, samples, extraSample, orientation, values, 255);
    }

    /** @param extraSample what the last sample is: a colour, or 0 nobody knows what, 1 opacity that the colours are multiplied by, 2 opacity */
    private static byte[] tiff(int photometric, int bits, int samples, int extraSample, int orientation, IntUnaryOperator values,
            int opacity) {
        int[][] tags = {{256, SIZE}, {257, SIZE}, {258, bits}, {259, 1}, {262, photometric}, {273, 0}, {274, orientation}, {277, samples},
            {278, SIZE}, {279, SIZE * SIZE * samples * bits / 8}, {338, extraSample}};
        int count = extraSample == ALL_COLOURS ? tags.length - 1 : tags.length;
        int perSample = 8 + 2 + 12 * count + 4;
        int data = perSample + 2 * samples;
        ByteBuffer file = ByteBuffer.allocate(data + SIZE * SIZE * samples * Math.max(8, bits) / 8).order(ByteOrder.LITTLE_ENDIAN);
        file.put((byte) 'I').put((byte) 'I').putShort((short) 42).putInt(8).putShort((short) count);
        for (int i = 0; i < count; i++) {
            boolean each = tags[i][0] == 258;
            boolean inPlace = !each || samples < 3;
            int value = tags[i][0] == 273 ? data : each ? inPlace ? bits | (samples == 2 ? bits << 16 : 0) : perSample : tags[i][1];
            boolean isLong = tags[i][0] == 273 || tags[i][0] == 279;
            file.putShort((short) tags[i][0]).putShort((short) (isLong ? 4 : 3)).putInt(each ? samples : 1).putInt(value);
        }
        file.putInt(0);
        for (int s = 0; s < samples; s++) {
            file.putShort((short) bits);
        }
        for (int i = 0; i < SIZE * SIZE * samples; i++) {
            boolean alpha = extraSample != ALL_COLOURS && i % samples == samples - 1;
            int value = alpha ? bits == 16 ? opacity * 257 : opacity : values.applyAsInt(i / samples % SIZE * 4);
            if (bits <= 8) {
                file.put((byte) value);
            } else if (bits == 16) {
                file.putShort((short) value);
            } else {
                file.putInt(value);
            }
        }
        return file.array();
    }
}
