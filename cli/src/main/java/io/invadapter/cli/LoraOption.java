package io.invadapter.cli;

import io.invadapter.engine.request.LoraUse;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import picocli.CommandLine.TypeConversionException;

/** What {@code --lora} names: a file, and behind a colon how much of it. */
record LoraOption(Path file, double scale) {
    /** Names have colons too, that of a drive or any other: what is no number behind one is of the name, and what is there is a name. */
    static LoraOption of(String text) {
        int colon = text.lastIndexOf(':');
        if (colon > 0 && !isThere(text) && text.substring(colon + 1).matches("[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?")) {
            try {
                double scale = Double.parseDouble(text.substring(colon + 1));
                if (!(Math.abs(scale) <= LoraUse.MAX_SCALE)) {
                    throw new TypeConversionException("'" + text + "' has the scale " + scale + "; expected -" + (int) LoraUse.MAX_SCALE + " to "
                            + (int) LoraUse.MAX_SCALE);
                }
                return new LoraOption(Main.path(text.substring(0, colon)), scale);
            } catch (NumberFormatException e) {
                // The colon is of the name.
            }
        }
        if (colon > 1 && !isThere(text) && isThere(text.substring(0, colon))) {
            throw new TypeConversionException("'" + text + "' has the scale '" + text.substring(colon + 1) + "'; expected a number, such as 0.8");
        }
        return new LoraOption(Main.path(text), 1);
    }

    private static boolean isThere(String text) {
        try {
            return Files.exists(Path.of(text));
        } catch (InvalidPathException e) {
            return false;
        }
    }
}
