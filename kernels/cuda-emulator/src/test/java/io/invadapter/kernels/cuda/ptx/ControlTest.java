package io.invadapter.kernels.cuda.ptx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Divergence, loops, memory spaces, parameters, coordinates, and what a module refuses. */
class ControlTest {
    private static int collatz(int start) {
        long x = start;
        int steps = 0;
        while (x != 1) {
            x = x % 2 == 0 ? x / 2 : 3 * x + 1 & 0xffffffffL;
            steps++;
            if (steps > 500) {
                break;
            }
        }
        return steps;
    }

    @Test
    void loopsOfDifferentLengths() {
        int n = 1000;
        int[] a = new Random(1).ints(n, 1, 100000).toArray();
        try (Programs p = new Programs()) {
            long out = p.allocate(4 * n);
            p.run(Programs.kernel("control", "collatz"), new Dim(8), new Dim(128), 0, p.upload(a), out, n);
            assertArrayEquals(Arrays.stream(a).map(ControlTest::collatz).toArray(), p.ints(out, n));
        }
    }

    private static int cases(int x) {
        int[] primes = {2, 3, 5, 7, 11, 13, 17, 19};
        return switch (x & 7) {
            case 0 -> x * 3;
            case 1 -> x + primes[x >> 3 & 7];
            case 2 -> x ^ 0x55;
            case 3 -> 7;
            case 4, 5 -> x / 5;
            case 6 -> Integer.bitCount(x);
            default -> 99;
        };
    }

    @Test
    void eightWayDivergence() {
        int n = 500;
        int[] a = new Random(2).ints(n).toArray();
        try (Programs p = new Programs()) {
            long out = p.allocate(4 * n);
            p.run(Programs.kernel("control", "cases"), new Dim(5), new Dim(100), 0, p.upload(a), out, n);
            assertArrayEquals(Arrays.stream(a).map(ControlTest::cases).toArray(), p.ints(out, n));
        }
    }

    @Test
    void localArrays() {
        int n = 64;
        int[] a = new Random(3).ints(n * 12).toArray();
        try (Programs p = new Programs()) {
            long out = p.allocate(4 * n * 12);
            p.run(Programs.kernel("control", "sort_local"), new Dim(2), new Dim(32), 0, p.upload(a), out, n);
            for (int i = 0; i < n; i++) {
                Arrays.sort(a, i * 12, i * 12 + 12);
            }
            assertArrayEquals(a, p.ints(out, n * 12));
        }
    }

    @Test
    void structuresAsParameters() {
        Kernel k = Programs.kernel("control", "structure");
        ByteBuffer pair = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
        pair.putInt(0, 10).putDouble(8, 0.5).putShort(16, (short) 100).putShort(18, (short) -200)
                .putShort(20, (short) 300);
        assertEquals(24, k.parameterLayout().get(0).size());
        assertEquals(8, k.parameterLayout().get(0).align());
        assertEquals(24, k.parameterLayout().get(1).offset());
        assertEquals(32, k.parameterLayout().get(2).offset());
        try (Programs p = new Programs()) {
            long out = p.allocate(12);
            p.run(k, new Dim(1), new Dim(3), 0, pair.array(), (byte) -1, out);
            assertArrayEquals(new float[] {109.5f, -190.5f, 309.5f}, p.floats(out, 3));
        }
    }

    @Test
    void genericPointersAndModuleVariables() {
        int[] a = new Random(4).ints(64).toArray();
        Kernel k = Programs.kernel("control", "generic");
        try (Programs p = new Programs()) {
            long out = p.allocate(256);
            p.run(k, new Dim(1), new Dim(64), 0, p.upload(a), out, 64);
            int[] got = p.ints(out, 64);
            for (int i = 0; i < 64; i++) {
                assertEquals(i % 3 == 0 ? a[63 - i] * 2 : i % 3 == 1 ? (i & 3) + 1 : a[i], got[i]);
            }
            assertEquals(63 * 32, p.ints(p.emulator.address(k.module, "total"), 1)[0]);
        }
    }

    @Test
    void coordinates() {
        Dim grid = new Dim(3, 2, 2);
        Dim block = new Dim(5, 3, 4);
        int n = 12 * 60;
        try (Programs p = new Programs()) {
            long out = p.allocate(4 * n);
            p.run(Programs.kernel("control", "coordinates"), grid, block, 0, out);
            int[] got = p.ints(out, n);
            for (int i = 0; i < n; i++) {
                int t = i % 60;
                int b = i / 60;
                assertEquals(t % 5 + 10 * (t / 5 % 3) + 100 * (t / 15) + 1000 * (b % 3) + 10000 * (b / 3 % 2)
                        + 100000 * (b / 6), got[i]);
            }
        }
    }

    @Test
    void lanesThatSpinOnEachOtherMakeProgress() {
        try (Programs p = new Programs()) {
            long lock = p.upload(0);
            long count = p.upload(0);
            p.run(Programs.kernel("control", "spin_lock"), new Dim(4), new Dim(64), 0, lock, count);
            assertEquals(256, p.ints(count, 1)[0]);
        }
    }

    @Test
    void unknownInstructionsAreNamed() {
        String text = Programs.text("control").replaceFirst("xor\\.b32", "frobnicate.b32");
        int line = (int) text.substring(0, text.indexOf("frobnicate")).lines().count();
        String message = assertThrows(PtxException.class, () -> PtxModule.parse(text)).getMessage();
        assertTrue(message.contains("line " + line + ":") && message.contains("'frobnicate.b32 "), message);
    }

    @Test
    void unknownModifiersAndTypesAreNamed() {
        String text = Programs.text("control");
        for (String wrong : new String[] {"add.half.s32", "add.s33", "add"}) {
            String changed = text.replaceFirst("add\\.s32", wrong);
            String message = assertThrows(PtxException.class, () -> PtxModule.parse(changed)).getMessage();
            assertTrue(message.contains("'" + wrong + " "), message);
        }
    }

    @Test
    void malformedTextIsRefused() {
        String text = Programs.text("control");
        assertThrows(PtxException.class, () -> PtxModule.parse(text.substring(0, text.length() / 2)));
        assertThrows(PtxException.class, () -> PtxModule.parse(text.replaceFirst("%r1,", "%nowhere,")));
        assertThrows(PtxException.class, () -> PtxModule.parse(text.replaceFirst("bra \t\\S+;", "bra nowhere;")));
        assertThrows(PtxException.class, () -> Programs.kernel("control", "no_such_kernel"));
    }

    @Test
    void impossibleLaunchesAreRefused() {
        Kernel k = Programs.kernel("control", "coordinates");
        Kernel bounded = Programs.kernel("matrix", "gemm_f16");
        try (Programs p = new Programs()) {
            Emulator e = p.emulator;
            byte[] arguments = new byte[8];
            assertThrows(PtxException.class, () -> e.launch(k, new Dim(0), new Dim(32), 0, arguments));
            assertThrows(PtxException.class, () -> e.launch(k, new Dim(1), new Dim(1025), 0, arguments));
            assertThrows(PtxException.class, () -> e.launch(k, new Dim(1), new Dim(32), 1 << 20, arguments));
            assertThrows(PtxException.class, () -> e.launch(k, new Dim(1), new Dim(32), 0, new byte[7]));
            assertThrows(PtxException.class, () -> e.launch(bounded, new Dim(1), new Dim(256), 0, new byte[36]));
        }
    }
}
