package io.invadapter.cli;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.request.LoraUse;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.TypeConversionException;

/** What {@code --lora} names: a file, and behind colons how much of it, as in a prompt's tag: for all, or for text encoder and UNet. */
final class LoraOption {
    private static final String NUMBER = "[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?";
    private static final Pattern SCALED = Pattern.compile("(.+):(" + NUMBER + ")");

    private LoraOption() {
    }

    /** Names have colons too, that of a drive or any other: what is no number behind one is of the name, and what is there is a name. */
    static LoraUse of(String text) {
        try {
            Matcher last = SCALED.matcher(text);
            if (!isThere(text) && last.matches()) {
                double scale = Double.parseDouble(last.group(2));
                Matcher first = SCALED.matcher(last.group(1));
                return !isThere(last.group(1)) && first.matches()
                        ? new LoraUse(Main.path(first.group(1)), Double.parseDouble(first.group(2)), scale)
                        : LoraUse.of(Main.path(last.group(1)), scale);
            }
        } catch (NumberFormatException e) {
            // The colon is of the name.
        } catch (InvalidRequestException e) {
            throw new TypeConversionException(e.getMessage());
        }
        int colon = text.lastIndexOf(':');
        if (colon > 1 && !isThere(text) && isThere(text.substring(0, colon))) {
            throw new TypeConversionException("'" + text + "' has the scale '" + text.substring(colon + 1) + "'; expected a number, such as 0.8");
        }
        return LoraUse.of(Main.path(text), 1);
    }

    private static boolean isThere(String text) {
        try {
            return Files.exists(Path.of(text));
        } catch (InvalidPathException e) {
            return false;
        }
    }
}
