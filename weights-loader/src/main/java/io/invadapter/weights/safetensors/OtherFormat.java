package io.invadapter.weights.safetensors;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Predicate;

/** What a file is that is no safetensors file, by its first bytes: of the formats that people have in its place. */
final class OtherFormat {

    /** How much of a file is looked at. */
    private static final int START = 512;
    /** Characters of a text that are shown. */
    private static final int SHOWN = 60;
    private static final int LOWEST_PICKLE = 2;
    private static final int HIGHEST_PICKLE = 5;

    /** @param what behind the file's name and "is" */
    private record Format(String what, Predicate<String> fits) {
    }

    private static final String PICKLE = "a pickle file (.ckpt, .pt, .bin), which can run any code when it is loaded and is therefore refused: convert it to"
            + " safetensors, or take the .safetensors file of the same model";

    /** Bytes are the characters of the same number. */
    private static final List<Format> FORMATS = List.of(
            new Format(PICKLE, OtherFormat::isPickle),
            new Format("an archive where a safetensors file is expected: unpack it", start -> startsWith(start, "PK\3\4", "\u001F\u008B", "7z\u00BC\u00AF", "Rar!")),
            new Format("a Git LFS pointer, not the weights themselves: fetch them with 'git lfs pull'", start -> startsWith(start, "version https://git-lfs")),
            new Format("a picture where a safetensors file is expected", start -> startsWith(start, "\u0089PNG", "\u00FF\u00D8\u00FF", "GIF8", "II*\0", "MM\0*")
                    || startsWith(start, "RIFF") && start.startsWith("WEBP", 8)),
            new Format("a GGUF file where a safetensors file is expected", start -> startsWith(start, "GGUF", "lmgg", "tjgg")),
            // A message of protocol buffers: the version, and who wrote it.
            new Format("an ONNX file where a safetensors file is expected", start -> start.length() > 3 && start.charAt(0) == 8 && start.charAt(1) < 32
                    && start.charAt(2) == 0x12 && start.charAt(3) < 64),
            new Format("an HDF5 file where a safetensors file is expected", start -> startsWith(start, "\u0089HDF")),
            new Format("a NumPy file where a safetensors file is expected", start -> startsWith(start, "\u0093NUMPY")),
            new Format("a web page, not the weights themselves: the download went wrong", start -> text(start).filter(text ->
                    text.startsWith("<") && text.toLowerCase(Locale.ROOT).contains("<html") || text.toLowerCase(Locale.ROOT).startsWith("<!doctype html")).isPresent()),
            new Format("full of zeros: the download was not finished", start -> start.length() >= Long.BYTES && start.chars().allMatch(c -> c == 0)));

    private OtherFormat() {
    }

    /** @return behind the file's name and "is"; empty when it is none of the known formats */
    static Optional<String> of(MemorySegment file) {
        String start = new String(file.asSlice(0, Math.min(START, file.byteSize())).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.ISO_8859_1);
        return FORMATS.stream().filter(format -> format.fits.test(start)).findFirst().map(Format::what).or(() -> text(start).map(OtherFormat::quoted));
    }

    private static boolean startsWith(String start, String... marks) {
        return List.of(marks).stream().anyMatch(start::startsWith);
    }

    /** By itself, or as PyTorch puts it into an archive, at the front. */
    private static boolean isPickle(String start) {
        return start.startsWith("PK\3\4") ? start.contains("data.pkl") || start.contains(".format_version") || start.contains("constants.pkl")
                : start.length() > 2 && start.charAt(0) == 0x80 && start.charAt(1) >= LOWEST_PICKLE && start.charAt(1) <= HIGHEST_PICKLE;
    }

    /** The beginning as UTF-8 without control characters, if it is that; a character may be cut at its end. */
    private static Optional<String> text(String start) {
        CharBuffer text = CharBuffer.allocate(START);
        boolean valid = !StandardCharsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.REPORT)
                .decode(ByteBuffer.wrap(start.getBytes(StandardCharsets.ISO_8859_1)), text, false).isError();
        String found = text.flip().toString().replace("\uFEFF", "").strip();
        return valid && !found.isEmpty() && found.chars().allMatch(c -> c >= ' ' && c != 0x7F || Character.isWhitespace(c)) ? Optional.of(found) : Optional.empty();
    }

    private static String quoted(String text) {
        String kind = text.startsWith("{") || text.startsWith("[") ? "a JSON text" : text.startsWith("<") ? "an XML text" : "a text";
        String first = text.lines().findFirst().orElse("").strip();
        return kind + " ('" + (first.length() > SHOWN ? first.substring(0, SHOWN) + "…" : first) + "') where a safetensors file is expected";
    }
}
