package io.invadapter.engine.text;

import io.invadapter.engine.nn.Config;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;

/**
 * What the configurations say beside vocabulary and merges.
 *
 * @param addedTokens the special tokens, and all others that are found by their spelling
 * @param maxLength where it is said
 */
record TokenizerSettings(String start, String end, String unknown, String padding, Map<String, AddedToken> addedTokens,
        OptionalInt maxLength) {

    static final String START = "<|startoftext|>";
    static final String END = "<|endoftext|>";
    static final int MIN_LENGTH = 2;
    /** Configurations write "no limit" as a huge number. */
    private static final int NO_LIMIT = 1_000_000;
    /** What may be anything in tokenizer_config.json, and why. */
    private static final Map<String, String> HARMLESS = harmless();

    /** @param id the id that a configuration gives it, null where only the vocabulary can tell */
    record AddedToken(Integer id, boolean normalised) {
    }

    private static final AddedToken SPECIAL = new AddedToken(null, false);
    static final TokenizerSettings DEFAULT = new TokenizerSettings(START, END, END, END, Map.of(START, SPECIAL, END, SPECIAL), OptionalInt.empty());

    private static final JsonValue NOTHING = JsonValue.of(Map.of(), "");

    static TokenizerSettings read(Path folder, Optional<JsonValue> tokenizerJson, Consumer<String> notices) {
        Config config = new Config(readIfPresent(folder.resolve("tokenizer_config.json")).orElse(NOTHING));
        config.only("tokenizer_class", "CLIPTokenizer", "CLIPTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend");
        config.only("padding_side", "right");
        config.only("truncation_side", "right");
        config.only("split_special_tokens", false);
        config.harmless(HARMLESS.keySet());
        // Newer configurations say all about added tokens; what other files say beside them is out of date.
        Optional<JsonValue> declared = config.optional("added_tokens_decoder");
        JsonValue specialTokens = declared.isPresent() ? NOTHING
                : readIfPresent(folder.resolve("special_tokens_map.json")).orElse(NOTHING);

        // Where two of the four are the same token, the last one says how it is found.
        Map<String, AddedToken> added = new HashMap<>();
        String start = special("bos_token", START, specialTokens, config, added);
        String end = special("eos_token", END, specialTokens, config, added);
        String unknown = special("unk_token", END, specialTokens, config, added);
        String padding = special("pad_token", END, specialTokens, config, added);
        for (String name : List.of("additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens", "sep_token", "cls_token",
                "mask_token")) {
            Optional<JsonValue> own = config.optional(name);
            specialTokens.find(name).or(() -> own).ifPresent(tokens -> spellings(tokens).forEach(token -> added.putIfAbsent(token, SPECIAL)));
        }
        if (declared.isPresent()) {
            declared.get().asObject().forEach((id, token) -> declare(parseId(id, token), token, added));
        } else {
            readIfPresent(folder.resolve("added_tokens.json")).orElse(NOTHING).asObject()
                    .forEach((content, id) -> added.put(content, new AddedToken(id.asInt(), !added.containsKey(content))));
            tokenizerJson.flatMap(json -> json.find("added_tokens")).ifPresent(
                    tokens -> tokens.asList().forEach(token -> declare(token.get("id").asInt(), token, added)));
        }

        Optional<JsonValue> olderName = config.optional("max_len");
        OptionalInt maxLength = config.optional("model_max_length").or(() -> olderName).map(TokenizerSettings::length).orElse(OptionalInt.empty());
        config.report(notices);
        return new TokenizerSettings(start, end, unknown, padding, added, maxLength);
    }

    private static OptionalInt length(JsonValue value) {
        if (value.asDouble() >= NO_LIMIT) {
            return OptionalInt.empty();
        }
        if (value.asInt() < MIN_LENGTH) {
            throw Config.refused(value, MIN_LENGTH + " or more, for the start and the end token");
        }
        return OptionalInt.of(value.asInt());
    }

    /** Of one token, several, or several by name. */
    private static List<String> spellings(JsonValue tokens) {
        if (tokens.isString()) {
            return List.of(tokens.asString());
        }
        if (tokens.isObject() && tokens.find("content").isPresent()) {
            return List.of(tokens.get("content").asString());
        }
        return (tokens.isObject() ? tokens.asObject().values() : tokens.asList()).stream().flatMap(token -> spellings(token).stream()).toList();
    }

    /** A special token's spelling: a string, or an object that also says how it is found. */
    private static String special(String name, String otherwise, JsonValue specialTokens, Config config,
            Map<String, AddedToken> added) {
        Optional<JsonValue> own = config.optional(name);
        Optional<JsonValue> token = specialTokens.find(name).or(() -> own);
        boolean described = token.filter(JsonValue::isObject).isPresent();
        String content = described ? token.get().get("content").asString() : token.map(JsonValue::asString).orElse(otherwise);
        added.put(content, new AddedToken(null, described && isNormalised(token.get())));
        return content;
    }

    private static void declare(int id, JsonValue token, Map<String, AddedToken> added) {
        token.find("single_word").filter(JsonValue::asBoolean).ifPresent(single -> {
            throw Config.refused(single, "false");
        });
        added.put(token.get("content").asString(), new AddedToken(id, isNormalised(token)));
    }

    private static boolean isNormalised(JsonValue token) {
        return token.find("normalized").map(JsonValue::asBoolean).orElse(false);
    }

    private static int parseId(String id, JsonValue token) {
        try {
            return Integer.parseInt(id);
        } catch (NumberFormatException e) {
            throw new WeightException(token.where() + " is named " + Json.quote(id) + " where a token id is expected", e);
        }
    }

    private static Map<String, String> harmless() {
        Map<String, String> reasons = new HashMap<>();
        List.of("do_lower_case", "add_prefix_space", "errors", "trim_offsets", "strip_accents", "tokenize_chinese_chars",
                "do_basic_tokenize", "never_split").forEach(key -> reasons.put(key, "CLIP's tokenizer does not read it"));
        List.of("clean_up_tokenization_spaces", "decode_with_prefix_space").forEach(key -> reasons.put(key, "of the way back from ids to texts"));
        List.of("name_or_path", "special_tokens_map_file", "tokenizer_file", "vocab_file", "merges_file", "vocab", "merges", "auto_map",
                "processor_class", "use_fast", "backend", "files_loaded", "is_local", "local_files_only", "max_len_single_sentence", "max_len_sentences_pair")
                .forEach(key -> reasons.put(key, "where its files lay and what read them"));
        List.of("model_input_names", "return_tensors", "pad_to_multiple_of", "padding", "truncation", "max_length", "stride", "truncation_strategy",
                "pad_token_type_id", "verbose", "chat_template", "response_template", "response_schema")
                .forEach(key -> reasons.put(key, "how a caller is served; every text is cut and filled to the same length here"));
        return Map.copyOf(reasons);
    }

    static Optional<JsonValue> readIfPresent(Path file) {
        return Files.exists(file, LinkOption.NOFOLLOW_LINKS) ? Optional.of(Json.read(file)) : Optional.empty();
    }
}
