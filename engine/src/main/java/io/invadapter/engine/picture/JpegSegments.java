package io.invadapter.engine.picture;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.stream.ImageInputStream;

/** What a JPEG file says about its picture before the picture itself. */
final class JpegSegments {
    private static final int START_OF_IMAGE = 0xFFD8;
    private static final int START_OF_SCAN = 0xFFDA;
    private static final int APP1 = 0xFFE1;
    private static final int APP2 = 0xFFE2;
    private static final String EXIF = "Exif\0\0";
    private static final String PROFILE = "ICC_PROFILE\0";

    /** Of a file of another format. */
    static final JpegSegments NONE = new JpegSegments();

    private record Segment(int marker, byte[] content) {
        boolean is(int expected, String start) {
            return marker == expected && content.length >= start.length()
                    && new String(content, 0, start.length(), StandardCharsets.ISO_8859_1).equals(start);
        }
    }

    private final List<Segment> segments = new ArrayList<>();

    private JpegSegments() {
    }

    /** From the stream's beginning. What is damaged is left to the reader of the picture. */
    static JpegSegments read(ImageInputStream in) {
        JpegSegments found = new JpegSegments();
        try {
            in.seek(0);
            if (in.readUnsignedShort() == START_OF_IMAGE) {
                // Marker, length, content.
                for (int marker = in.readUnsignedShort(); marker != START_OF_SCAN; marker = in.readUnsignedShort()) {
                    byte[] content = new byte[Math.max(0, in.readUnsignedShort() - 2)];
                    in.readFully(content);
                    if (marker == APP1 || marker == APP2) {
                        found.segments.add(new Segment(marker, content));
                    }
                }
            }
        } catch (IOException e) {
            // Cut short.
        }
        return found;
    }

    Orientation orientation() {
        for (Segment segment : segments) {
            if (segment.is(APP1, EXIF)) {
                return Orientation.ofExif(ByteBuffer.wrap(segment.content).position(EXIF.length()).slice());
            }
        }
        return Orientation.UPRIGHT;
    }

    boolean hasProfile() {
        return segments.stream().anyMatch(segment -> segment.is(APP2, PROFILE));
    }
}
