package io.invadapter.engine.picture;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files of pictures and what is written into them. */
class PictureFileTest {
    @TempDir
    private Path folder;

    private static BufferedImage picture() {
        BufferedImage picture = new BufferedImage(64, 48, BufferedImage.TYPE_INT_RGB);
        for (int i = 0; i < 64 * 48; i++) {
            // Red and blue columns, which a JPEG of halved colours would mix.
            picture.setRGB(i % 64, i / 64, i % 2 == 0 ? 0xff0000 : 0x0000ff);
        }
        return picture;
    }

    @Test
    void whatIsWrittenIsReadAgainWithItsColours() throws IOException {
        List<String> warnings = new ArrayList<>();
        for (String name : new String[] {"a.png", "a.jpg", "a.JPEG"}) {
            PictureFile.write(picture(), "a portrait of a Mädchen\nSteps: 3", folder.resolve(name));
            BufferedImage read = FacePicture.read(folder.resolve(name), warnings::add);
            for (int x = 8; x < 16; x++) {
                assertEquals(picture().getRGB(x, 9) >> 16 & 255, read.getRGB(x, 9) >> 16 & 255, name.endsWith("png") ? 0 : 12, name + " " + x);
            }
        }
        assertEquals(List.of(), warnings);
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(3, files.count());
        }
    }

    @Test
    void aLinkStaysOneAndItsFileIsReplaced() throws IOException {
        Path target = Files.writeString(folder.resolve("target.png"), "old");
        Path link = Files.createSymbolicLink(folder.resolve("link.png"), target);
        PictureFile.write(picture(), null, link);
        assertTrue(Files.isSymbolicLink(link));
        assertArrayEquals(PictureFile.encode(picture(), null, PictureFile.Format.PNG), Files.readAllBytes(target));
    }

    @Test
    void aJpegOfAPictureWithTransparencyLiesOnWhite() throws IOException {
        BufferedImage transparent = new BufferedImage(64, 64, BufferedImage.TYPE_INT_ARGB);
        byte[] jpeg = PictureFile.encode(transparent, null, PictureFile.Format.JPEG);
        assertEquals(0xffffffff, FacePicture.read(jpeg, notice -> { }).getRGB(8, 8));
    }

    @Test
    void parametersLieWhereOtherProgramsLookForThem() {
        for (String text : new String[] {"a Mädchen\nSteps: 3", "портрет 🙂\nSteps: 3"}) {
            byte[] png = PictureFile.encode(picture(), text, PictureFile.Format.PNG);
            boolean latin = StandardCharsets.ISO_8859_1.newEncoder().canEncode(text);
            assertTrue(new String(png, latin ? StandardCharsets.ISO_8859_1 : StandardCharsets.UTF_8)
                    .contains((latin ? "tEXtparameters\0" : "iTXtparameters\0\0\0\0\0") + text));
            String jpeg = new String(PictureFile.encode(picture(), text, PictureFile.Format.JPEG), StandardCharsets.ISO_8859_1);
            assertTrue(jpeg.contains("UNICODE\0" + new String(text.getBytes(StandardCharsets.UTF_16BE), StandardCharsets.ISO_8859_1)));
        }
        // More than a segment of a JPEG holds is cut.
        PictureFile.encode(picture(), "w".repeat(100_000), PictureFile.Format.JPEG);
        PictureFile.encode(picture(), null, PictureFile.Format.JPEG);
    }

    @Test
    void whatCannotBeWrittenIsNamedAndLeavesNothing() throws IOException {
        Path file = folder.resolve("gone/a.png");
        FileSystemException failed = assertThrows(FileSystemException.class, () -> PictureFile.write(picture(), null, file));
        assertEquals(file.toString(), failed.getFile());
        Path taken = folder.resolve("b.png");
        Files.createDirectories(taken.resolve("in the way"));
        assertEquals(taken.toString(), assertThrows(FileSystemException.class, () -> PictureFile.write(picture(), null, taken)).getFile());
        for (String[] refused : new String[][] {{"c.gif", "ends in .png, .jpg, .jpeg or .webp"}, {"png", "ends in"},
            {"c.webp", "add com.github.usefulness:webp-imageio to the class path"}}) {
            Path other = folder.resolve(refused[0]);
            String message = assertThrows(InvalidRequestException.class, () -> PictureFile.write(picture(), null, other)).getMessage();
            assertTrue(message.contains(refused[1]), message);
        }
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(taken), files.toList());
        }
    }
}
