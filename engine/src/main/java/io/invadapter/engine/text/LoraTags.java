package io.invadapter.engine.text;

import io.invadapter.base.InvalidRequestException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The LoRAs that a prompt asks for, as stable-diffusion-webui has them: {@code <lora:name>}, {@code <lora:name:0.8>},
 * {@code <lora:name:0.5:1>} for text encoder and UNet, {@code <lora:name:te=0.5:unet=1>}; {@code lyco} is the same word. A negative
 * prompt has none there.
 *
 * @param prompt without them; nothing stands in their place
 * @param tags   in the order of the prompt
 */
public record LoraTags(String prompt, List<Tag> tags) {

    /** @param written the whole tag */
    public record Tag(String written, String name, double textEncoderScale, double unetScale) {
    }

    /** As long as any; what is longer is text. */
    private static final Pattern TAG = Pattern.compile("<(?:lora|lyco):([^<>]{1,300})>");

    /**
     * Takes them out of a prompt.
     *
     * @throws InvalidRequestException when a tag has a scale that is no number
     */
    public static LoraTags cut(String prompt) {
        List<Tag> tags = new ArrayList<>();
        Matcher matcher = TAG.matcher(Objects.requireNonNull(prompt, "prompt"));
        StringBuilder rest = new StringBuilder();
        while (matcher.find()) {
            tags.add(tag(matcher.group(), matcher.group(1)));
            matcher.appendReplacement(rest, "");
        }
        matcher.appendTail(rest);
        return new LoraTags(rest.toString(), List.copyOf(tags));
    }

    private static Tag tag(String written, String arguments) {
        List<String> positional = new ArrayList<>();
        Double textEncoder = null;
        Double unet = null;
        for (String argument : arguments.split(":")) {
            int equals = argument.indexOf('=');
            String key = equals < 0 ? "" : argument.substring(0, equals).strip();
            switch (key) {
                case "te" -> textEncoder = number(written, argument.substring(equals + 1));
                case "unet" -> unet = number(written, argument.substring(equals + 1));
                default -> positional.add(argument);
            }
        }
        if (positional.isEmpty() || positional.getFirst().isBlank()) {
            throw new InvalidRequestException(written + " names no LoRA; expected <lora:name> or <lora:name:0.8>");
        }
        if (positional.size() > 3) {
            throw new InvalidRequestException(written + " has more than a name and two scales; expected <lora:name:0.8> or, for text encoder and UNet, "
                    + "<lora:name:0.5:1>");
        }
        double first = positional.size() > 1 ? number(written, positional.get(1)) : 1;
        double ofTextEncoder = textEncoder == null ? first : textEncoder;
        double second = positional.size() > 2 ? number(written, positional.get(2)) : ofTextEncoder;
        return new Tag(written, positional.getFirst().strip(), ofTextEncoder, unet == null ? second : unet);
    }

    private static double number(String written, String text) {
        try {
            double value = Double.parseDouble(text.strip());
            if (Double.isFinite(value)) {
                return value;
            }
        } catch (NumberFormatException e) {
            // The same mistake.
        }
        throw new InvalidRequestException(written + ": '" + text.strip() + "' is no number; expected <lora:name:0.8>");
    }
}
