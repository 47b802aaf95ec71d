package io.invadapter.engine.picture;

import io.invadapter.base.InvalidRequestException;
import java.io.IOException;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import javax.imageio.ImageReader;
import javax.imageio.plugins.tiff.TIFFDirectory;
import javax.imageio.plugins.tiff.TIFFField;

/** What a TIFF file says about its picture, as far as Java's reader makes something else of it. */
final class TiffTags {
    /** Of a file of another format. */
    static final TiffTags NONE = new TiffTags(null);

    private static final int BITS = 258;
    private static final int COMPRESSION = 259;
    private static final int COLOURS = 262;
    private static final int SAMPLES = 277;
    private static final int EXTRA_SAMPLES = 338;
    private static final int SAMPLE_FORMAT = 339;
    private static final int PROFILE = 34675;

    /** Those that Java reads: none, of faxes, LZW, JPEG, Deflate, PackBits and the older number of Deflate. */
    private static final Set<Integer> COMPRESSIONS = Set.of(1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946);
    private static final Map<Integer, String> OTHER_COMPRESSIONS = Map.of(34925, "LZMA", 50000, "Zstandard", 50001, "WebP");

    private static final int WHITE_IS_ZERO = 0;
    private static final int BLACK_IS_ZERO = 1;
    private static final int PALETTE = 3;
    /** The last of the colours that Java reads right; CIELAB, sensor data and the like come after. */
    private static final int YCBCR = 6;
    private static final int ALPHA_UNSPECIFIED = 0;
    private static final int WHOLE_NUMBERS = 1;

    private final TIFFDirectory directory;

    private TiffTags(TIFFDirectory directory) {
        this.directory = directory;
    }

    /** Of the first page. */
    static TiffTags read(ImageReader reader) throws IOException {
        return new TiffTags(TIFFDirectory.createFromMetadata(reader.getImageMetadata(0)));
    }

    /** @throws InvalidRequestException when Java reads such a picture wrong, or not at all */
    void refuseForeign() {
        if (directory == null) {
            return;
        }
        int compression = values(COMPRESSION, 1)[0];
        if (!COMPRESSIONS.contains(compression)) {
            throw new InvalidRequestException("it is compressed with " + OTHER_COMPRESSIONS.getOrDefault(compression, "method " + compression)
                    + ", which Java cannot read; save it without compression, or with LZW or Deflate, first");
        }
        int colours = colours();
        if (colours > YCBCR) {
            throw new InvalidRequestException(PictureReader.FOREIGN_COLOURS);
        }
        int[] bits = values(BITS, 1);
        int samples = values(SAMPLES, 1)[0];
        boolean one = samples == 1 && (colours == WHITE_IS_ZERO || colours == BLACK_IS_ZERO || colours == PALETTE);
        if (Arrays.stream(bits).anyMatch(b -> b > 16) || Arrays.stream(values(SAMPLE_FORMAT, WHOLE_NUMBERS)).anyMatch(f -> f != WHOLE_NUMBERS)) {
            throw new InvalidRequestException(PictureReader.FOREIGN_NUMBERS);
        }
        if (Arrays.stream(bits).anyMatch(b -> b != bits[0]) || bits[0] != 8 && bits[0] != 16 && !(one && bits[0] < 8)) {
            throw new InvalidRequestException("its channels hold " + bits[0] + "-bit numbers, which Java cannot read; save it with 8 bits a colour"
                    + " first");
        }
        if (colours == PALETTE && !one || values(EXTRA_SAMPLES, ALPHA_UNSPECIFIED).length > 1) {
            throw new InvalidRequestException("it has channels besides its colours" + (colours == PALETTE ? "" : " and its opacity")
                    + ", which Java cannot read; save it as a plain RGB picture first");
        }
    }

    private int colours() {
        return values(COLOURS, BLACK_IS_ZERO)[0];
    }

    private int[] values(int tag, int absent) {
        TIFFField field = directory.getTIFFField(tag);
        return field == null || field.getCount() == 0 ? new int[] {absent} : IntStream.range(0, field.getCount()).map(field::getAsInt).toArray();
    }

    /** Upright where nothing is said. */
    Orientation orientation() {
        return directory == null ? Orientation.UPRIGHT : Orientation.of(values(Orientation.TAG, 1)[0]);
    }

    boolean hasProfile() {
        return directory != null && directory.getTIFFField(PROFILE) != null;
    }

    /** Whether a channel is there of which the file does not say that it is opacity, though Java takes it for that. */
    boolean hasNoOpacity() {
        return directory != null && directory.getTIFFField(EXTRA_SAMPLES) != null && values(EXTRA_SAMPLES, ALPHA_UNSPECIFIED)[0] == ALPHA_UNSPECIFIED;
    }

    /** Java turns all values of a picture whose white is 0, its opacity too. */
    Colours.Opacity opacity() {
        return directory != null && colours() == WHITE_IS_ZERO ? (grey, stored, max) -> max - stored : Colours.Opacity.AS_STORED;
    }
}
