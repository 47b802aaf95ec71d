package io.invadapter.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.picture.FacePicture;
import io.invadapter.engine.picture.PictureFile;
import java.awt.color.ColorSpace;
import java.awt.color.ICC_Profile;
import java.awt.image.BufferedImage;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** WebP by name, and faces in it, with the library that the command brings. */
class WebPTest {
    private static final int SIZE = 64;
    /** Where the picture of a file begins that is nothing else. */
    private static final int HEADER = 12;

    @TempDir
    private Path folder;
    private final List<String> warnings = new ArrayList<>();

    private static int run(Object... arguments) {
        return Main.commandLine().setErr(new PrintWriter(new StringWriter())).execute(Stream.of(arguments).map(Object::toString).toArray(String[]::new));
    }

    /** Grey, four levels a column from the left to the right. */
    private static BufferedImage ramp(int type) {
        BufferedImage ramp = new BufferedImage(SIZE, SIZE + 16, type);
        for (int y = 0; y < SIZE + 16; y++) {
            for (int x = 0; x < SIZE; x++) {
                ramp.setRGB(x, y, (x < SIZE / 2 ? 0x80 : 0xff) << 24 | x * 4 * 0x10101);
            }
        }
        return ramp;
    }

    private static byte[] webp() {
        return PictureFile.encode(ramp(BufferedImage.TYPE_INT_RGB), null, PictureFile.Format.WEBP);
    }

    /** An extended file: what it has, a chunk before the picture, the picture, a chunk behind it. */
    private static byte[] extended(int flags, byte[] before, byte[] behind) {
        byte[] webp = webp();
        ByteBuffer file = ByteBuffer.allocate(HEADER + 18 + before.length + webp.length - HEADER + behind.length).order(ByteOrder.LITTLE_ENDIAN);
        file.put(webp, 0, 4).putInt(file.capacity() - 8).put(webp, 8, 4).put("VP8X".getBytes(StandardCharsets.US_ASCII)).putInt(10).putInt(flags);
        file.putShort((short) (SIZE - 1)).put((byte) 0).putShort((short) (SIZE + 15)).put((byte) 0);
        return file.put(before).put(webp, HEADER, webp.length - HEADER).put(behind).array();
    }

    private static byte[] chunk(String name, byte[] content) {
        return ByteBuffer.allocate(8 + content.length + content.length % 2).order(ByteOrder.LITTLE_ENDIAN)
                .put(name.getBytes(StandardCharsets.US_ASCII)).putInt(content.length).put(content).array();
    }

    private int[] greys(byte[] file) {
        BufferedImage read = FacePicture.read(file, warnings::add);
        int[] greys = new int[read.getWidth()];
        for (int x = 0; x < greys.length; x++) {
            greys[x] = read.getRGB(x, 20) & 255;
        }
        return greys;
    }

    @Test
    void picturesWithTheirParameters() throws Exception {
        assertEquals(0, run("generate", "--prompt", "портрет", "--steps", 1, "--seed", 5, "--count", 2, "-q", "-o", folder.resolve("a.webp")));
        assertEquals(0, run("invert", "--face", "sample:1", "--steps", 1, "-q", "-o", folder.resolve("b.WEBP")));
        for (String[] expected : new String[][] {{"a-1.webp", "портрет\nSteps: 1, Sampler: DDIM, CFG scale: 3.5, Seed: 5"},
            {"a-2.webp", "Seed: 6"}, {"b.WEBP", "Sampler: DDIM inversion"}}) {
            byte[] file = Files.readAllBytes(folder.resolve(expected[0]));
            ByteBuffer words = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
            assertEquals("RIFF/WEBPVP8X", new String(file, 0, 4, StandardCharsets.US_ASCII) + "/" + new String(file, 8, 8, StandardCharsets.US_ASCII));
            assertEquals(file.length - 8, words.getInt(4));
            assertEquals(8, words.getInt(20), "Exif and nothing else");
            assertEquals(127, words.getInt(24) & 0xffffff);
            int exif = new String(file, StandardCharsets.ISO_8859_1).indexOf("EXIF");
            String comment = new String(file, StandardCharsets.ISO_8859_1).substring(exif).split("UNICODE\0", 2)[1];
            assertTrue(new String(comment.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_16BE).contains(expected[1]));
            assertEquals(128, FacePicture.read(file, warnings::add).getHeight());
        }
        assertEquals(List.of(), warnings);
    }

    @Test
    void transparencyIsKeptWithTheParameters() {
        BufferedImage read = FacePicture.read(PictureFile.encode(ramp(BufferedImage.TYPE_INT_ARGB), "p", PictureFile.Format.WEBP), warnings::add);
        assertEquals(0x80, read.getRGB(8, 8) >>> 24);
        assertEquals(0xff, read.getRGB(60, 8) >>> 24);
        assertEquals(List.of("the picture: transparent parts are taken as white"), warnings);
    }

    @Test
    void orientationOfBothKindsOfExif() {
        byte[] plain = ByteBuffer.allocate(26).put("MM\0*".getBytes(StandardCharsets.US_ASCII)).putInt(8).putShort((short) 1)
                .putShort((short) 0x0112).putShort((short) 3).putInt(1).putShort((short) 3).array();
        byte[] started = ByteBuffer.allocate(32).put("Exif\0\0".getBytes(StandardCharsets.US_ASCII)).put(plain).array();
        for (byte[] exif : new byte[][] {plain, started}) {
            int[] greys = greys(extended(0x08, new byte[0], chunk("EXIF", exif)));
            assertEquals(252, greys[0], 6);
            assertEquals(0, greys[SIZE - 1], 6);
        }
        assertEquals(List.of(), warnings);
    }

    @Test
    void profilesAreApplied() {
        int[] greys = greys(extended(0x20, chunk("ICCP", ICC_Profile.getInstance(ColorSpace.CS_LINEAR_RGB).getData()), new byte[0]));
        for (int x = 4; x < SIZE; x++) {
            double light = x * 4 / 255.0;
            assertEquals(255 * (1.055 * Math.pow(light, 1 / 2.4) - 0.055), greys[x], 8, "column " + x);
        }
        assertEquals(List.of(), warnings);
        assertEquals(128, greys(extended(0x20, chunk("ICCP", new byte[99]), new byte[0]))[32], 4);
        assertEquals(List.of("the picture: its colour profile does not fit and is not applied"), warnings);
    }

    @Test
    void whatIsNoStillPictureIsRefused() throws Exception {
        byte[] webp = webp();
        for (Object[] refused : new Object[][] {{"an animation", extended(0x02, chunk("ANIM", new byte[6]), new byte[0])},
            {"damaged", Arrays.copyOf(webp, webp.length / 2)}, {"damaged", Arrays.copyOf(webp, HEADER)},
            {"expected PNG, JPEG, WebP, BMP, GIF or TIFF", "no picture".getBytes(StandardCharsets.UTF_8)}}) {
            String message = assertThrows(InvalidRequestException.class, () -> FacePicture.read((byte[]) refused[1], warnings::add)).getMessage();
            assertTrue(message.contains((String) refused[0]), message);
        }
        // Other programs read over what follows.
        assertEquals(128, greys(Arrays.copyOf(webp, webp.length + 7))[32], 4);
        Path face = Files.write(folder.resolve("face.dat"), webp);
        assertEquals(0, run("invert", "--face", face, "--steps", 1, "-q", "-o", folder.resolve("out.png")));
    }

    /** The library prints a stack trace; a user gets one sentence, before any work, and nothing stays behind. */
    @Test
    void aLibraryThatCannotBeUnpackedOrLoadedIsTold() throws Exception {
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        Path webp = Files.write(folder.resolve("face.webp"), webp());
        List<String> none = List.of("-Djava.io.tmpdir=" + webp);
        List<String> unknown = List.of("-Djava.io.tmpdir=" + temporary, "-Dos.arch=pdp11");
        for (OutputTest.Run run : List.of(OutputTest.Run.of(folder, none, "generate", "--prompt", "a", "-o", "out.webp"),
                OutputTest.Run.of(folder, unknown, "generate", "--prompt", "a", "-o", "out.webp"),
                OutputTest.Run.of(folder, unknown, "generate", "--prompt", "a", "--face", webp))) {
            assertEquals(1, run.code(), run.err());
            // Java has a word of its own about a temporary folder that is none.
            String said = run.err().lines().filter(line -> !line.startsWith("WARNING: java.io.tmpdir")).collect(Collectors.joining("\n"));
            assertTrue(said.matches("invadapter: WebP cannot be read or written, .*; use PNG or JPEG, .*"), run.err());
        }
        try (Stream<Path> files = Stream.concat(Files.list(folder), Files.list(temporary))) {
            assertEquals(List.of(webp, temporary), files.sorted().toList());
        }
    }
}
