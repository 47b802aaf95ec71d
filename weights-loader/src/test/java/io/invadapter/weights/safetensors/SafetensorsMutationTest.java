package io.invadapter.weights.safetensors;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightTensor;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Damages a good header in many ways: what comes out is a {@link WeightException} or a header that holds together. */
class SafetensorsMutationTest {

    private static final int MUTANTS = 30_000;
    private static final String HEADER = """
            {"__metadata__":{"format":"pt","note":"\\u00e9\\ud83d\\ude00 \\"x\\" é"},"first":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},\
            "second":{"dtype":"F16","shape":[4],"data_offsets":[24,32]},"third":{"dtype":"BOOL","shape":[],"data_offsets":[32,33]},\
            "fourth":{"dtype":"I64","shape":[0,7],"data_offsets":[33,33]}}  \s""";
    private static final int DATA_BYTES = 33;
    private static final String[] NUMBERS = {"-1", "0", "1", "2", "3", "8", "24", "25", "32", "33", "34", "1e3", "2.0", "4294967296",
        "9223372036854775807", "9223372036854775808", "18446744073709551615", "-9223372036854775808", "1e400", "null", "[]", "\"1\""};

    private final Random random = new Random(20240602);

    @Test
    void damagedHeadersNeverDoMoreThanThrow() {
        byte[] good = SafetensorsFileTest.file(HEADER, DATA_BYTES);
        assertEquals(4, check(good));
        int accepted = assertTimeoutPreemptively(Duration.ofSeconds(20), () -> {
            int fine = 0;
            for (int i = 0; i < MUTANTS; i++) {
                byte[] mutant = mutate(good);
                try {
                    check(mutant);
                    fine++;
                } catch (WeightException e) {
                    assertTrue(e.getMessage().startsWith("mutant"), e.getMessage());
                } catch (RuntimeException | Error e) {
                    throw new AssertionError("header " + new String(mutant, StandardCharsets.ISO_8859_1), e);
                }
            }
            return fine;
        });
        // Some damage is harmless, such as another letter in a name; most is not.
        assertTrue(accepted > MUTANTS / 100 && accepted < MUTANTS / 2, accepted + " accepted");
    }

    /** Reads the header and checks independently that it holds together; returns the number of tensors. */
    private static int check(byte[] bytes) {
        MemorySegment file = MemorySegment.ofArray(bytes);
        SafetensorsHeader header = SafetensorsHeader.read("mutant", file);
        List<SafetensorsHeader.Entry> entries = new ArrayList<>(header.entries().values());
        entries.sort(Comparator.comparingLong(SafetensorsHeader.Entry::begin).thenComparingLong(SafetensorsHeader.Entry::end));
        long covered = 0;
        for (SafetensorsHeader.Entry entry : entries) {
            assertEquals(covered, entry.begin());
            covered = entry.end();
            MemorySegment data = file.asSlice(header.dataStart() + entry.begin(), entry.end() - entry.begin());
            DType.named(entry.dtype()).ifPresent(dtype -> {
                long product = Arrays.stream(entry.shape()).reduce(1, Math::multiplyExact);
                assertEquals(product, WeightTensor.of("x", dtype, data, entry.shape()).toFloats().length);
            });
        }
        assertEquals(bytes.length, header.dataStart() + covered);
        for (Map.Entry<String, String> entry : header.metadata().entrySet()) {
            assertTrue(entry.getKey() != null && entry.getValue() != null);
        }
        return entries.size();
    }

    private byte[] mutate(byte[] good) {
        byte[] bytes = good.clone();
        int damages = 1 + random.nextInt(3);
        for (int i = 0; i < damages; i++) {
            bytes = damage(bytes);
        }
        return bytes;
    }

    private byte[] damage(byte[] bytes) {
        if (bytes.length < 9) {
            return bytes;
        }
        switch (random.nextInt(8)) {
            case 0 -> bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
            case 1 -> bytes[8 + random.nextInt(bytes.length - 8)] = (byte) random.nextInt(256);
            case 2 -> {
                return Arrays.copyOf(bytes, random.nextInt(bytes.length));
            }
            case 3 -> ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(0, random.nextBoolean()
                    ? random.nextLong() >> random.nextInt(64) : random.nextInt(2 * bytes.length));
            case 4 -> {
                return withHeader(bytes, replaceOne(header(bytes), "-?\\d+", NUMBERS[random.nextInt(NUMBERS.length)]));
            }
            case 5 -> {
                return withHeader(bytes, swapTwo(header(bytes)));
            }
            case 6 -> {
                return withHeader(bytes, replaceOne(header(bytes), "[{}\\[\\]:,\"]", String.valueOf("{}[]:,\" \\".charAt(random.nextInt(9)))));
            }
            default -> {
                // A piece twice.
                String header = header(bytes);
                int from = random.nextInt(header.length() + 1);
                int to = from + random.nextInt(header.length() - from + 1);
                return withHeader(bytes, header.substring(0, to) + header.substring(from));
            }
        }
        return bytes;
    }

    private static String header(byte[] bytes) {
        return new String(bytes, 8, Math.max(0, bytes.length - 8 - DATA_BYTES), StandardCharsets.ISO_8859_1);
    }

    private static byte[] withHeader(byte[] bytes, String header) {
        return SafetensorsFileTest.file(header.getBytes(StandardCharsets.ISO_8859_1), Math.min(DATA_BYTES, bytes.length - 8));
    }

    private String replaceOne(String header, String pattern, String replacement) {
        List<MatchResult> matches = Pattern.compile(pattern).matcher(header).results().toList();
        if (matches.isEmpty()) {
            return header;
        }
        MatchResult match = matches.get(random.nextInt(matches.size()));
        return header.substring(0, match.start()) + replacement + header.substring(match.end());
    }

    private String swapTwo(String header) {
        Matcher matcher = Pattern.compile("\"[^\"]*\"|-?\\d+|[{}\\[\\]:,]").matcher(header);
        List<MatchResult> tokens = matcher.results().toList();
        if (tokens.size() < 2) {
            return header;
        }
        int first = random.nextInt(tokens.size() - 1);
        int second = first + 1 + random.nextInt(tokens.size() - first - 1);
        MatchResult a = tokens.get(first);
        MatchResult b = tokens.get(second);
        return header.substring(0, a.start()) + b.group() + header.substring(a.end(), b.start()) + a.group() + header.substring(b.end());
    }
}
