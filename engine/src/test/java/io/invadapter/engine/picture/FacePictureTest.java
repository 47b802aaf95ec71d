package io.invadapter.engine.picture;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.vae.PictureLatents;
import io.invadapter.weights.WeightException;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriter;
import javax.imageio.stream.ImageOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FacePictureTest {

    @TempDir
    Path folder;

    private final List<String> warnings = new ArrayList<>();

    private static BufferedImage picture(int width, int height, int type) {
        BufferedImage picture = new BufferedImage(width, height, type);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                picture.setRGB(x, y, 0xff000000 | x * 3 << 16 | y * 5 << 8 | x * y);
            }
        }
        return picture;
    }

    private Path write(String name, BufferedImage picture) throws IOException {
        Path file = folder.resolve(name);
        assertTrue(ImageIO.write(picture, name.substring(name.lastIndexOf('.') + 1), file.toFile()));
        return file;
    }

    private String refusal(Path file) {
        String message = assertThrows(InvalidRequestException.class, () -> FacePicture.read(file, warnings::add)).getMessage();
        assertSentence(file, message);
        assertEquals(List.of(), warnings);
        return message;
    }

    private static void assertSentence(Path file, String message) {
        assertTrue(message.startsWith(file + ": "), message);
        String rest = message.substring(file.toString().length());
        assertFalse(rest.contains("\n") || rest.contains("Exception") || rest.contains("null") || rest.contains(". "), message);
    }

    @Test
    void readsAStillPicture() throws IOException {
        for (String name : List.of("a.png", "a.bmp", "a.tiff")) {
            BufferedImage read = FacePicture.read(write(name, picture(33, 40, BufferedImage.TYPE_INT_RGB)), warnings::add);
            assertEquals(33, read.getWidth());
            assertEquals(40, read.getHeight());
            assertEquals(0xff000000 | 30 << 16 | 55 << 8 | 110, read.getRGB(10, 11), name);
        }
        FacePicture.read(write("a.jpg", picture(64, 64, BufferedImage.TYPE_INT_RGB)), warnings::add);
        FacePicture.read(write("a.gif", picture(64, 64, BufferedImage.TYPE_INT_RGB)), warnings::add);
        FacePicture.read(write("grey.png", picture(64, 64, BufferedImage.TYPE_BYTE_GRAY)), warnings::add);
        FacePicture.read(write("opaque.png", picture(64, 64, BufferedImage.TYPE_INT_ARGB)), warnings::add);
        assertEquals(List.of(), warnings);
    }

    @Test
    void tiny() throws IOException {
        assertTrue(refusal(write("tiny.png", picture(31, 64, BufferedImage.TYPE_INT_RGB))).contains("31 x 64"));
        assertTrue(refusal(write("tiny.gif", picture(64, 1, BufferedImage.TYPE_INT_RGB))).contains("64 x 1"));
        FacePicture.read(write("enough.png", picture(32, 32, BufferedImage.TYPE_INT_RGB)), warnings::add);
    }

    @Test
    void missing() {
        assertTrue(refusal(folder.resolve("missing.png")).contains("no such"));
        refusal(folder);
        Path device = Path.of("/dev/zero");
        assumeTrue(Files.exists(device), "a device of Linux");
        assertTrue(refusal(device).contains("expected a regular file"));
    }

    @Test
    void garbage() throws IOException {
        byte[] bytes = new byte[5000];
        new Random(1).nextBytes(bytes);
        Path garbage = Files.write(folder.resolve("garbage.png"), bytes);
        assertTrue(refusal(garbage).contains("not a picture"));
        refusal(Files.write(folder.resolve("empty.png"), new byte[0]));
    }

    @Test
    void damaged() throws IOException {
        for (String name : List.of("whole.png", "whole.gif", "whole.bmp", "whole.tiff")) {
            byte[] whole = Files.readAllBytes(write(name, picture(64, 64, BufferedImage.TYPE_INT_RGB)));
            for (int length : new int[] {12, 30, whole.length / 2}) {
                Path cut = Files.write(folder.resolve(length + name), Arrays.copyOf(whole, length));
                String message = assertThrows(InvalidRequestException.class, () -> FacePicture.read(cut, warnings::add),
                        cut.toString()).getMessage();
                assertSentence(cut, message);
            }
        }
    }

    @Test
    void animation() throws IOException {
        Path file = folder.resolve("moving.gif");
        ImageWriter writer = ImageIO.getImageWritersByFormatName("gif").next();
        try (ImageOutputStream out = ImageIO.createImageOutputStream(file.toFile())) {
            writer.setOutput(out);
            writer.prepareWriteSequence(null);
            for (int i = 0; i < 3; i++) {
                writer.writeToSequence(new IIOImage(picture(40 , 40, BufferedImage.TYPE_BYTE_INDEXED), null, null), null);
            }
            writer.endWriteSequence();
        } finally {
            writer.dispose();
        }
        assertTrue(refusal(file).contains("animation of 3 frames"));
    }

    @Test
    void transparency() throws IOException {
        BufferedImage picture = picture(40, 40, BufferedImage.TYPE_INT_ARGB);
        picture.setRGB(20, 20, 0);
        Path file = write("transparent.png", picture);
        BufferedImage read = FacePicture.read(file, warnings::add);
        assertEquals(1, warnings.size());
        assertSentence(file, warnings.getFirst());
        BufferedImage square = FacePicture.square(read, 40);
        assertEquals(0xffffffff, square.getRGB(20, 20));
        assertEquals(0xff000000 | 30 << 16 | 50 << 8 | 100, square.getRGB(10, 10));
    }

    @Test
    void aPictureThatWasTakenSidewaysIsTurnedUpright() throws IOException {
        BufferedImage picture = new BufferedImage(64, 48, BufferedImage.TYPE_INT_RGB);
        Graphics2D g = picture.createGraphics();
        g.setColor(Color.RED);
        g.fillRect(0, 0, 32, 24); // the upper left quarter
        g.dispose();
        byte[] plain = Files.readAllBytes(write("plain.jpg", picture));
        // Where the red quarter belongs for Exif's orientations 1 to 8: right? below?
        boolean[][] corners = {{false, false}, {true, false}, {true, true}, {false, true},
            {false, false}, {true, false}, {true, true}, {false, true}};
        for (int value = 1; value <= 8; value++) {
            BufferedImage upright = FacePicture.read(Files.write(folder.resolve(value + ".jpg"), withOrientation(plain, value)), warnings::add);
            assertEquals(value < 5 ? 64 : 48, upright.getWidth());
            assertEquals(value < 5 ? 48 : 64, upright.getHeight());
            boolean[] corner = corners[value - 1];
            int red = upright.getRGB(corner[0] ? upright.getWidth() - 5 : 5, corner[1] ? upright.getHeight() - 5 : 5);
            assertTrue((red >> 16 & 255) > 200, "orientation " + value);
        }
        assertEquals(List.of(), warnings);
    }

    /** Puts an Exif segment with nothing but the orientation behind the JPEG's first two bytes. */
    private static byte[] withOrientation(byte[] jpeg, int value) {
        ByteBuffer file = ByteBuffer.allocate(jpeg.length + 36);
        file.put(jpeg, 0, 2).putShort((short) 0xFFE1).putShort((short) 34).put("Exif\0\0".getBytes(StandardCharsets.US_ASCII));
        file.put("MM".getBytes(StandardCharsets.US_ASCII)).putShort((short) 42).putInt(8).putShort((short) 1);
        file.putShort((short) 0x0112).putShort((short) 3).putInt(1).putShort((short) value).putShort((short) 0).putInt(0);
        return file.put(jpeg, 2, jpeg.length - 2).array();
    }

    @Test
    void aJpegThatIsCutShortGetsANotice() throws IOException {
        byte[] whole = Files.readAllBytes(write("whole.jpg", picture(64, 64, BufferedImage.TYPE_INT_RGB)));
        Path cut = Files.write(folder.resolve("cut.jpg"), Arrays.copyOf(whole, whole.length * 3 / 4));
        FacePicture.read(cut, warnings::add);
        assertTrue(warnings.getFirst().startsWith(cut + ": the picture seems damaged"), warnings.toString());
    }

    @Test
    void aPictureThatIsNotANumberIsRefused() {
        float[] values = {0, Float.NaN, 0};
        assertTrue(assertThrows(WeightException.class, () -> PictureLatents.fromModel(values, 0, 1, 1)).getMessage().contains("not-a-number"));
    }

    @Test
    void theCentredSquareIsScaled() {
        BufferedImage wide = new BufferedImage(90, 60, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < 60; y++) {
            for (int x = 15; x < 75; x++) {
                wide.setRGB(x, y, 0x204060);
            }
        }
        for (int size : new int[] {16, 60, 100}) {
            BufferedImage square = FacePicture.square(wide, size);
            assertEquals(size, square.getWidth());
            assertEquals(size, square.getHeight());
            for (int i = 0; i < size; i++) {
                assertEquals(0xff204060, square.getRGB(i, size - 1 - i));
                assertEquals(0xff204060, square.getRGB(0, i), "the left edge is not seen");
            }
        }
    }

    @Test
    void modelValuesGoThereAndBack() {
        BufferedImage picture = picture(9, 5, BufferedImage.TYPE_INT_RGB);
        float[] values = PictureLatents.toModel(picture);
        assertEquals(3 * 9 * 5, values.length);
        assertEquals(24 / 127.5f - 1, values[8], 1e-6f);
        assertEquals(-1, values[0]);
        BufferedImage back = PictureLatents.fromModel(values, 0, 9, 5);
        for (int y = 0; y < 5; y++) {
            for (int x = 0; x < 9; x++) {
                assertEquals(picture.getRGB(x, y), back.getRGB(x, y));
            }
        }
        float[] two = {9, 9, 9, -7, 0.2f, 7};
        assertEquals(0xff000000 | 153 << 8 | 255, PictureLatents.fromModel(two, 1, 1, 1).getRGB(0, 0));
    }
}
