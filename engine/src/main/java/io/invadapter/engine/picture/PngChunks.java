package io.invadapter.engine.picture;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.zip.InflaterInputStream;
import javax.imageio.stream.ImageInputStream;

/** What a PNG file says about its picture before the picture itself, as far as Java's reader passes it over. */
final class PngChunks {
    static final PngChunks NONE = new PngChunks(Map.of());

    private static final long SIGNATURE = 0x89504E470D0A1A0AL;
    private static final Set<String> WANTED = Set.of("IHDR", "tRNS", "iCCP", "sRGB", "gAMA", "cHRM", "cICP", "eXIf", "acTL");
    /** Profiles and Exif are small; this keeps a lying length from filling the memory. */
    private static final int MAX_BYTES = 1 << 24;

    private final Map<String, byte[]> chunks;

    private PngChunks(Map<String, byte[]> chunks) {
        this.chunks = chunks;
    }

    /** From the stream's beginning; {@link #NONE} when it is no PNG. What is damaged is left to the reader of the picture. */
    static PngChunks read(ImageInputStream in) {
        Map<String, byte[]> chunks = new HashMap<>();
        try {
            in.seek(0);
            if (in.readLong() != SIGNATURE) {
                return NONE;
            }
            // Length, name, content, checksum.
            while (true) {
                int length = in.readInt();
                byte[] name = new byte[4];
                in.readFully(name);
                String type = new String(name, StandardCharsets.ISO_8859_1);
                if (type.equals("IDAT") || length < 0) {
                    break;
                }
                long next = in.getStreamPosition() + length + 4L;
                if (WANTED.contains(type) && length <= MAX_BYTES) {
                    byte[] content = new byte[length];
                    in.readFully(content);
                    chunks.putIfAbsent(type, content);
                }
                in.seek(next);
            }
        } catch (IOException e) {
            // Cut short.
        }
        return new PngChunks(chunks);
    }

    boolean has(String type) {
        return chunks.containsKey(type);
    }

    /** A chunk's content. */
    ByteBuffer get(String type) {
        return ByteBuffer.wrap(chunks.get(type));
    }

    /** More than one: an animation. */
    int frames() {
        return has("acTL") && get("acTL").remaining() >= 4 ? get("acTL").getInt() : 1;
    }

    /**
     * The transparent value of a grey picture of 2 or 4 bits, as one of 8 bits: Java's reader compares its pixels with it only after
     * it has made 8 bits of them.
     */
    OptionalInt missedTransparentGrey() {
        if (!has("IHDR") || !has("tRNS") || get("IHDR").remaining() < 10 || get("tRNS").remaining() < 2) {
            return OptionalInt.empty();
        }
        int bits = get("IHDR").get(8);
        boolean grey = get("IHDR").get(9) == 0;
        int most = (1 << bits) - 1;
        return grey && (bits == 2 || bits == 4) ? OptionalInt.of((get("tRNS").getShort() & most) * 255 / most) : OptionalInt.empty();
    }

    /** Of iCCP: a name, the number of the compression, the compressed profile. */
    byte[] profile() throws IOException {
        byte[] content = chunks.get("iCCP");
        int nameEnd = 0;
        while (nameEnd < content.length && content[nameEnd] != 0) {
            nameEnd++;
        }
        int start = Math.min(content.length, nameEnd + 2);
        ByteArrayOutputStream profile = new ByteArrayOutputStream();
        try (InflaterInputStream in = new InflaterInputStream(new ByteArrayInputStream(content, start, content.length - start))) {
            profile.write(in.readNBytes(MAX_BYTES));
        }
        return profile.toByteArray();
    }
}
