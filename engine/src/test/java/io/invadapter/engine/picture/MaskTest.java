package io.invadapter.engine.picture;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class MaskTest {

    private static BufferedImage picture(int width, int... rgb) {
        BufferedImage picture = new BufferedImage(width, rgb.length / width, BufferedImage.TYPE_INT_RGB);
        for (int i = 0; i < rgb.length; i++) {
            picture.setRGB(i % width, i / width, rgb[i]);
        }
        return picture;
    }

    /** The bounds of colours are Pillow's, which the reference implementation makes them grey with. */
    @Test
    void halfAsBrightAsWhiteIsRepainted() {
        assertArrayEquals(new float[] {0, 1, 0, 1}, new Mask(picture(4, 0x000000, 0xffffff, 0x7f7f7f, 0x808080)).values());
        assertArrayEquals(new float[] {0, 1, 1, 0, 0}, new Mask(picture(5, 0xff0000, 0x00ff00, 0xff5900, 0xff5600, 0x0000ff)).values());
    }

    /** Java takes stored grey for linear light, in which half is another. */
    @Test
    void storedGreyIsTakenAsItIs() {
        BufferedImage grey = new BufferedImage(3, 1, BufferedImage.TYPE_BYTE_GRAY);
        for (int x = 0; x < 3; x++) {
            grey.getRaster().setSample(x, 0, 0, 126 + x);
        }
        assertArrayEquals(new float[] {0, 0, 1}, new Mask(Scaling.cover(grey, 3, 1)).values());
    }

    @Test
    void aLatentIsThePixelAtTheTopLeftOfItsCell() {
        int[] rgb = new int[6 * 4];
        rgb[2] = 0xffffff;
        rgb[2 * 6 + 1] = 0xffffff;
        rgb[2 * 6 + 4] = 0xffffff;
        Mask mask = new Mask(picture(6, rgb));
        assertArrayEquals(new float[] {0, 1, 0, 0, 0, 1}, mask.ofLatents(2).values());
        assertEquals("2 x 3", mask.ofLatents(2).height() + " x " + mask.ofLatents(2).width());
    }

    @Test
    void whatIsRepaintedIsHiddenAndTheRestIsKept() {
        Mask mask = new Mask(picture(2, 0xffffff, 0));
        assertArrayEquals(new float[] {0, 2, 0, 4, 0, 6}, mask.hide(new float[] {1, 2, 3, 4, 5, 6}));
        BufferedImage kept = mask.keep(picture(2, 0x111111, 0x222222), picture(2, 0x333333, 0x444444));
        assertEquals(0xff333333, kept.getRGB(0, 0));
        assertEquals(0xff222222, kept.getRGB(1, 0));
    }

    @Test
    void aPictureCoversAnySizeFromItsMiddle() {
        BufferedImage stripes = picture(6, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6);
        BufferedImage cut = Scaling.cover(stripes, 2, 2);
        assertEquals(0xff000003, cut.getRGB(0, 0));
        assertEquals(0xff000004, cut.getRGB(1, 1));
        assertEquals(0xff000006, Scaling.cover(stripes, 6, 2).getRGB(5, 1));
        int[] rgb = new int[2 * 12];
        Arrays.fill(rgb, 0, 12, 0x404040);
        Arrays.fill(rgb, 12, 24, 0xc0c0c0);
        BufferedImage larger = Scaling.cover(picture(2, rgb), 9, 27);
        assertEquals("9 x 27", larger.getWidth() + " x " + larger.getHeight());
        // Of the twelve rows the six in the middle are left.
        for (int y : new int[] {0, 5}) {
            assertEquals(0xff404040, larger.getRGB(4, y));
            assertEquals(0xffc0c0c0, larger.getRGB(4, 26 - y));
        }
        assertTrue(larger.getRGB(4, 13) != larger.getRGB(4, 5));
    }
}
