package io.invadapter.engine.text;

import io.invadapter.engine.nn.Config;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.PriorityQueue;
import java.util.function.Consumer;
import java.util.function.ObjIntConsumer;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.GZIPInputStream;

/**
 * Turns a prompt into the token ids that CLIP's text encoder was trained on: byte-pair encoding of lower-cased words.
 *
 * <p>The vocabulary and the way of splitting are those of Radford et al., "Learning Transferable Visual Models From
 * Natural Language Supervision" (2021); byte-pair encoding is that of Sennrich, Haddow and Birch, "Neural Machine
 * Translation of Rare Words with Subword Units" (2016). The ids are those of the tokenizer that Hugging Face transformers 5
 * builds from the same files, also where that one differs from today's Unicode.
 *
 * <p>Immutable: one tokenizer serves any number of threads.
 */
public final class ClipTokenizer {

    private static final String START = "<|startoftext|>";
    private static final String END = "<|endoftext|>";
    private static final String END_OF_WORD = "</w>";

    /** The number of positions of CLIP's text encoder. */
    private static final int DEFAULT_LENGTH = 77;
    /** What may be anything in tokenizer_config.json, and why. */
    private static final Map<String, String> HARMLESS = harmless();
    private static final int MIN_LENGTH = 2;
    /** Configurations write "no limit" as a huge number. */
    private static final int NO_LIMIT = 1_000_000;

    private static final Pattern WHITE_SPACE = Pattern.compile("\\p{IsWhite_Space}+");

    /**
     * The pieces of a normalised text; the white space between them is dropped. A special token matches here only when it
     * was not recognised as one, for instance because it is written in capitals; it then is the three pieces of the groups.
     */
    private static final Pattern PIECE = Pattern.compile(
            "(<\\|)(startoftext|endoftext)(\\|>)|'s|'t|'re|'ve|'m|'ll|'d|\\p{L}++|\\p{N}|[^\\p{IsWhite_Space}\\p{L}\\p{N}]++");

    /**
     * Characters for which canonical ordering or composition came after Unicode 9. The original composes by Unicode 9:
     * there they stand for themselves, and nothing moves across them.
     */
    private static final Pattern NEWER_THAN_COMPOSITION = Pattern.compile("[\\x{7FD}\\x{897}-\\x{89F}"
            + "\\x{8CA}-\\x{8D3}\\x{9FE}\\x{C3C}\\x{D3B}\\x{D3C}\\x{EBA}\\x{1715}\\x{1ABF}-\\x{1ACE}"
            + "\\x{1DF6}-\\x{1DFA}\\x{A82C}\\x{105C9}\\x{105D2}\\x{105DA}\\x{105E4}\\x{10D24}-\\x{10D27}"
            + "\\x{10D69}-\\x{10D6D}\\x{10EAB}\\x{10EAC}\\x{10EFD}-\\x{10EFF}\\x{10F46}-\\x{10F50}"
            + "\\x{10F82}-\\x{10F85}\\x{11070}\\x{1133B}\\x{11382}-\\x{11385}\\x{1138B}\\x{1138E}"
            + "\\x{11390}\\x{11391}\\x{113B8}\\x{113BB}\\x{113C2}\\x{113C5}\\x{113C7}-\\x{113C9}"
            + "\\x{113CE}-\\x{113D0}\\x{1145E}\\x{11839}\\x{1183A}\\x{11930}\\x{11935}\\x{11938}"
            + "\\x{1193D}\\x{1193E}\\x{11943}\\x{119E0}\\x{11A34}\\x{11A47}\\x{11A99}\\x{11D42}"
            + "\\x{11D44}\\x{11D45}\\x{11D97}\\x{11F41}\\x{11F42}\\x{1611E}-\\x{16129}\\x{1612F}\\x{16D63}"
            + "\\x{16D67}-\\x{16D6A}\\x{16FF0}\\x{16FF1}\\x{1E08F}\\x{1E130}-\\x{1E136}\\x{1E2AE}"
            + "\\x{1E2EC}-\\x{1E2EF}\\x{1E4EC}-\\x{1E4EF}\\x{1E5EE}\\x{1E5EF}]");

    private final BytePairs bytePairs;
    private final AddedTokens rawTokens;
    private final AddedTokens normalisedTokens;
    private final int start;
    private final int end;
    private final int padding;
    private final int vocabularySize;
    private final int maxLength;
    /** Whether {@link #maxLength} is in the model's files. */
    private final boolean ownLength;

    /**
     * A text as the text encoder takes it.
     *
     * @param ids start token, the text's tokens, end token and padding, exactly {@link ClipTokenizer#maxLength()} of them
     * @param cut the words for which there was no room, as the model reads them (in lower case), from the first word that
     *     is not whole; empty when everything had room
     */
    public record Encoding(int[] ids, String cut) {
        public Encoding {
            Objects.requireNonNull(ids, "ids");
            Objects.requireNonNull(cut, "cut");
        }
    }

    private ClipTokenizer(BytePairs bytePairs, AddedTokens rawTokens, AddedTokens normalisedTokens, int start, int end, int padding,
            int vocabularySize, int maxLength, boolean ownLength) {
        this.bytePairs = bytePairs;
        this.rawTokens = rawTokens;
        this.normalisedTokens = normalisedTokens;
        this.start = start;
        this.end = end;
        this.padding = padding;
        this.vocabularySize = vocabularySize;
        this.maxLength = maxLength;
        this.ownLength = ownLength;
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

    /** The tokenizer of OpenAI's CLIP, which every Stable Diffusion 1.x model uses; it comes with this library. */
    public static ClipTokenizer bundled() {
        return Bundled.TOKENIZER;
    }

    /**
     * The tokenizer of a model in the diffusers layout: {@code tokenizer.json}, or else {@code vocab.json} and
     * {@code merges.txt}. Special tokens and the maximum length are taken from {@code tokenizer_config.json},
     * {@code special_tokens_map.json} and {@code added_tokens.json} where these are present; without them they are CLIP's.
     * Texts are always put into lower case: like every other CLIP tokenizer this one has no use for {@code do_lower_case}.
     *
     * @param folder the folder {@code tokenizer} inside the model's folder
     * @param notices told of keys that are not known
     * @throws WeightException if a file is missing or malformed, or asks for another way of splitting texts
     */
    public static ClipTokenizer fromFolder(Path folder, Consumer<String> notices) {
        Optional<JsonValue> tokenizerJson = readIfPresent(folder.resolve("tokenizer.json"));
        Map<String, Integer> vocabulary;
        List<Merge> merges;
        if (tokenizerJson.isPresent()) {
            JsonValue model = tokenizerJson.get().get("model");
            model.find("type").filter(type -> !type.asString().equals("BPE")).ifPresent(type -> {
                throw new WeightException(type.where() + " is " + type + " where \"BPE\" is expected");
            });
            vocabulary = model.get("vocab").asIntegers();
            merges = model.get("merges").asList().stream().map(ClipTokenizer::readMerge).toList();
        } else {
            vocabulary = Json.read(folder.resolve("vocab.json")).asIntegers();
            Path file = folder.resolve("merges.txt");
            try (InputStream in = Files.newInputStream(file)) {
                merges = readMerges(in, file.toString());
            } catch (NoSuchFileException e) {
                throw WeightException.missing(file);
            } catch (CharacterCodingException e) {
                throw new WeightException(file + " is not valid UTF-8", e);
            } catch (IOException e) {
                throw new WeightException(file + " cannot be read: " + e.getMessage(), e);
            }
        }
        return create(vocabulary, merges, Settings.read(folder, tokenizerJson, notices), folder.toString());
    }

    /** The same tokenizer with another number of ids. */
    public ClipTokenizer withMaxLength(int newMaxLength) {
        if (newMaxLength < MIN_LENGTH) {
            throw new IllegalArgumentException("a maximum length of " + newMaxLength + " has no room for the start and the end token");
        }
        return new ClipTokenizer(bytePairs, rawTokens, normalisedTokens, start, end, padding, vocabularySize, newMaxLength, true);
    }

    /** The same tokenizer for a text encoder with that many positions: it fills them, unless its files give it a smaller length. */
    public ClipTokenizer withPositions(int positions) {
        return withMaxLength(ownLength ? Math.min(maxLength, positions) : positions);
    }

    /** The number of ids in every encoding. */
    public int maxLength() {
        return maxLength;
    }

    /** One more than the largest id: the least number of embeddings that the text encoder must have. */
    public int vocabularySize() {
        return vocabularySize;
    }

    /** Encodes any text, also an empty one. */
    public Encoding encode(String text) {
        // Half a surrogate pair is no character; on the way through UTF-16 bytes it becomes the replacement character.
        String characters = new String(text.getBytes(StandardCharsets.UTF_16), StandardCharsets.UTF_16);
        Sink sink = new Sink();
        rawTokens.split(characters, sink::token, between -> normalisedTokens.split(normalise(between), sink::token, sink::words));
        return sink.encoding();
    }

    /** Canonical composition, single spaces and lower case. */
    private static String normalise(String text) {
        StringBuilder composed = new StringBuilder(text.length());
        Matcher newer = NEWER_THAN_COMPOSITION.matcher(text);
        int at = 0;
        while (newer.find()) {
            composed.append(Normalizer.normalize(text.substring(at, newer.start()), Normalizer.Form.NFC)).append(newer.group());
            at = newer.end();
        }
        composed.append(Normalizer.normalize(text.substring(at), Normalizer.Form.NFC));
        StringBuilder lower = new StringBuilder(composed.length());
        WHITE_SPACE.matcher(composed).replaceAll(" ").codePoints().forEach(c -> appendLowerCase(lower, c));
        return lower.toString();
    }

    /** Each character by itself: a sigma at the end of a word is no special case, unlike in String.toLowerCase. */
    private static void appendLowerCase(StringBuilder lower, int c) {
        switch (c) {
            // The capital I with a dot keeps the dot; it is the only character that becomes two.
            case 0x130 -> lower.append("i\u0307");
            // Capitals of Unicode 17, newer than Java 25.
            case 0xA7CE, 0xA7D2, 0xA7D4 -> lower.appendCodePoint(c + 1);
            default -> lower.appendCodePoint(c >= 0x16EA0 && c <= 0x16EB8 ? c + 0x1B : Character.toLowerCase(c));
        }
    }

    private static ClipTokenizer create(Map<String, Integer> vocabulary, List<Merge> merges, Settings settings, String where) {
        Map<String, Integer> raw = new HashMap<>();
        Map<String, Integer> normalised = new HashMap<>();
        Map<String, Integer> added = new HashMap<>();
        settings.addedTokens.forEach((content, token) -> {
            Integer id = vocabulary.getOrDefault(content, token.id);
            if (id == null) {
                throw new WeightException(where + " names the special token " + Json.quote(content) + ", which is not in its vocabulary");
            }
            added.put(content, id);
            if (token.normalised) {
                normalised.put(normalise(content), id);
            } else {
                raw.put(content, id);
            }
        });
        int largest = Math.max(Collections.max(added.values()), vocabulary.isEmpty() ? 0 : Collections.max(vocabulary.values()));
        return new ClipTokenizer(new BytePairs(vocabulary, merges, added.get(settings.unknown)), new AddedTokens(raw),
                new AddedTokens(normalised), added.get(settings.start), added.get(settings.end), added.get(settings.padding), largest + 1,
                settings.maxLength.orElse(DEFAULT_LENGTH), settings.maxLength.isPresent());
    }

    /** Collects the ids of one text while there is room, and from then on the text that is cut. */
    private final class Sink {

        private final int[] ids = new int[maxLength];
        private final StringBuilder cut = new StringBuilder();
        private int count;

        Sink() {
            ids[count++] = start;
        }

        void token(String content, int id) {
            if (!cut.isEmpty() || !add(id)) {
                cut.append(content);
            }
        }

        void words(String normalised) {
            if (!cut.isEmpty()) {
                cut.append(normalised);
                return;
            }
            Matcher piece = PIECE.matcher(normalised);
            while (piece.find()) {
                boolean whole = piece.group(1) == null
                        ? add(bytePairs.encode(piece.group()))
                        : add(bytePairs.encode(piece.group(1))) && add(bytePairs.encode(piece.group(2)))
                                && add(bytePairs.encode(piece.group(3)));
                if (!whole) {
                    cut.append(normalised, piece.start(), normalised.length());
                    return;
                }
            }
        }

        /** Adds what fits before the end token; says whether that is all. */
        private boolean add(int... tokens) {
            int fitting = Math.min(tokens.length, maxLength - 1 - count);
            System.arraycopy(tokens, 0, ids, count, fitting);
            count += fitting;
            return fitting == tokens.length;
        }

        Encoding encoding() {
            ids[count++] = end;
            Arrays.fill(ids, count, maxLength, padding);
            // Not strip(): that would also take control characters, which are words here.
            String words = cut.toString();
            return new Encoding(ids, words.endsWith(" ") ? words.substring(0, words.length() - 1) : words);
        }
    }

    /** Tokens that are found in a text by their spelling, before it is split into words; the longest at each place. */
    private static final class AddedTokens {

        private final Map<String, Integer> ids;
        private final Pattern pattern;

        AddedTokens(Map<String, Integer> ids) {
            this.ids = ids;
            String any = ids.keySet().stream().sorted(Comparator.comparing(String::length).reversed()).map(Pattern::quote)
                    .collect(Collectors.joining("|"));
            this.pattern = Pattern.compile(any.isEmpty() ? "(?!)" : any);
        }

        /** Hands over the tokens and the non-empty texts between them, in their order. */
        void split(String text, ObjIntConsumer<String> token, Consumer<String> between) {
            Matcher matcher = pattern.matcher(text);
            int at = 0;
            while (matcher.find()) {
                if (matcher.start() > at) {
                    between.accept(text.substring(at, matcher.start()));
                }
                token.accept(matcher.group(), ids.get(matcher.group()));
                at = matcher.end();
            }
            if (at < text.length()) {
                between.accept(text.substring(at));
            }
        }
    }

    /** Byte-pair encoding of one word: starts from its bytes and joins neighbours, the earliest learned pair first. */
    private static final class BytePairs {

        /** Marks a place whose symbol was joined to the one on its left. */
        private static final int JOINED = -1;

        private final int[] byteIds = new int[256];
        private final int[] lastByteIds = new int[256];
        private final Ranks ranks;
        private final int[] joinedIds;

        BytePairs(Map<String, Integer> vocabulary, List<Merge> merges, int unknown) {
            for (int b = 0; b < 256; b++) {
                byteIds[b] = vocabulary.getOrDefault(ByteSymbols.of(b), unknown);
                lastByteIds[b] = vocabulary.getOrDefault(ByteSymbols.of(b) + END_OF_WORD, unknown);
            }
            ranks = new Ranks(merges.size());
            joinedIds = new int[merges.size()];
            for (int rank = 0; rank < joinedIds.length; rank++) {
                Merge merge = merges.get(rank);
                ranks.put(id(vocabulary, merge.left, merge), id(vocabulary, merge.right, merge), rank);
                joinedIds[rank] = id(vocabulary, merge.left + merge.right, merge);
            }
        }

        private static int id(Map<String, Integer> vocabulary, String symbol, Merge merge) {
            Integer id = vocabulary.get(symbol);
            if (id == null) {
                throw new WeightException(merge.where.get() + " needs " + Json.quote(symbol) + ", which is not in the vocabulary");
            }
            return id;
        }

        /** The ids of a word; the time grows with n log n, so that a pasted megabyte without spaces is no trap. */
        int[] encode(String word) {
            byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
            int n = bytes.length;
            int[] ids = new int[n];
            int[] previous = new int[n];
            int[] next = new int[n];
            for (int i = 0; i < n; i++) {
                ids[i] = (i < n - 1 ? byteIds : lastByteIds)[bytes[i] & 0xFF];
                previous[i] = i - 1;
                next[i] = i + 1;
            }
            // Rank in the upper half and place in the lower one: the lowest rank comes first, and of those the leftmost.
            PriorityQueue<Long> candidates = new PriorityQueue<>();
            for (int i = 0; i < n - 1; i++) {
                offer(candidates, ids, i, i + 1);
            }
            while (!candidates.isEmpty()) {
                long candidate = candidates.poll();
                int joined = joinedIds[(int) (candidate >>> 32)];
                int left = (int) candidate;
                int right = next[left];
                // A candidate may be out of date: one of its symbols may since have been joined to another neighbour.
                if (ids[left] == JOINED || right == n) {
                    continue;
                }
                int rank = ranks.get(ids[left], ids[right]);
                if (rank == Ranks.NONE || joinedIds[rank] != joined) {
                    continue;
                }
                ids[left] = joined;
                ids[right] = JOINED;
                next[left] = next[right];
                if (next[left] < n) {
                    previous[next[left]] = left;
                    offer(candidates, ids, left, next[left]);
                }
                if (previous[left] >= 0) {
                    offer(candidates, ids, previous[left], left);
                }
            }
            return Arrays.stream(ids).filter(id -> id != JOINED).toArray();
        }

        private void offer(PriorityQueue<Long> candidates, int[] ids, int left, int right) {
            int rank = ranks.get(ids[left], ids[right]);
            if (rank != Ranks.NONE) {
                candidates.add((long) rank << 32 | left);
            }
        }
    }

    /** The rank of each pair of ids, in a hash table of plain numbers: it is filled at every start, before anything is compiled. */
    private static final class Ranks {

        static final int NONE = -1;

        private final long[] pairs;
        private final int[] ranks;

        Ranks(int most) {
            // Half full at most.
            int slots = Integer.highestOneBit(Math.max(most, 1)) << 2;
            pairs = new long[slots];
            ranks = new int[slots];
            Arrays.fill(ranks, NONE);
        }

        void put(int left, int right, int rank) {
            int slot = slot(left, right);
            pairs[slot] = pair(left, right);
            ranks[slot] = rank;
        }

        int get(int left, int right) {
            return ranks[slot(left, right)];
        }

        /** Where the pair is, or else where there is room for it. */
        private int slot(int left, int right) {
            long pair = pair(left, right);
            int slot = (int) (pair * 0x9E3779B97F4A7C15L >>> 40) & ranks.length - 1;
            while (ranks[slot] != NONE && pairs[slot] != pair) {
                slot = slot + 1 & ranks.length - 1;
            }
            return slot;
        }

        private static long pair(int left, int right) {
            return (long) left << 32 | right;
        }
    }

    /** The vocabulary writes each byte as one visible character. */
    private static final class ByteSymbols {

        private static final String[] SYMBOLS = new String[256];

        static {
            int moved = 0;
            for (int b = 0; b < 256; b++) {
                SYMBOLS[b] = Character.toString(isVisible(b) ? b : 0x100 + moved++);
            }
        }

        /** The bytes that are visible characters of Latin-1 stand for themselves, the others for those from U+0100 on. */
        static boolean isVisible(int b) {
            return b >= '!' && b <= '~' || b >= 0xA1 && b != 0xAD;
        }

        static String of(int b) {
            return SYMBOLS[b];
        }
    }

    /** A line of the list of merges; {@code where} is that line in an error message. */
    private record Merge(String left, String right, Supplier<String> where) {
    }

    /** @param id the id that a configuration gives it, null where only the vocabulary can tell */
    private record AddedToken(Integer id, boolean normalised) {
    }

    /**
     * What the configurations say beside vocabulary and merges.
     *
     * @param addedTokens the special tokens, and all others that are found by their spelling
     * @param maxLength where it is said
     */
    private record Settings(String start, String end, String unknown, String padding, Map<String, AddedToken> addedTokens,
            OptionalInt maxLength) {

        private static final AddedToken SPECIAL = new AddedToken(null, false);
        static final Settings DEFAULT = new Settings(START, END, END, END, Map.of(START, SPECIAL, END, SPECIAL), OptionalInt.empty());

        private static final JsonValue NOTHING = JsonValue.of(Map.of(), "");

        static Settings read(Path folder, Optional<JsonValue> tokenizerJson, Consumer<String> notices) {
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
            OptionalInt maxLength = config.optional("model_max_length").or(() -> olderName).map(Settings::length).orElse(OptionalInt.empty());
            config.report(notices);
            return new Settings(start, end, unknown, padding, added, maxLength);
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
    }

    private static Optional<JsonValue> readIfPresent(Path file) {
        return Files.exists(file, LinkOption.NOFOLLOW_LINKS) ? Optional.of(Json.read(file)) : Optional.empty();
    }

    /** A merge in tokenizer.json: "a b", or a pair in newer files. */
    private static Merge readMerge(JsonValue json) {
        return merge(json.isList() ? json.asList().stream().map(JsonValue::asString).collect(Collectors.joining(" ")) : json.asString(),
                json::where);
    }

    private static List<Merge> readMerges(InputStream in, String name) throws IOException {
        List<Merge> merges = new ArrayList<>();
        // A decoder of its own, because the one that comes with a Charset would replace malformed input silently.
        BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8.newDecoder()));
        int number = 0;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            int lineNumber = ++number;
            if (!line.isEmpty() && !line.startsWith("#version")) {
                merges.add(merge(line, () -> name + " line " + lineNumber));
            }
        }
        return merges;
    }

    private static Merge merge(String symbols, Supplier<String> where) {
        int space = symbols.indexOf(' ');
        if (space <= 0 || space == symbols.length() - 1 || symbols.indexOf(' ', space + 1) >= 0) {
            throw new WeightException(where.get() + " is " + Json.quote(symbols) + " where two symbols with a space between are expected");
        }
        return new Merge(symbols.substring(0, space), symbols.substring(space + 1), where);
    }

    /** Made on first use: who reads the tokenizer of a folder does not pay for this one. */
    private static final class Bundled {

        /** OpenAI's list of merges (MIT licence) as it lies in every Stable Diffusion 1.x folder. */
        private static final String RESOURCE = "clip-merges.txt.gz";
        static final ClipTokenizer TOKENIZER = read();

        /** The ids need no file of their own: they count the bytes, the bytes that end a word, the merges, the special tokens. */
        private static ClipTokenizer read() {
            List<Merge> merges;
            try (InputStream in = new GZIPInputStream(ClipTokenizer.class.getResourceAsStream(RESOURCE))) {
                merges = readMerges(in, RESOURCE);
            } catch (IOException e) {
                throw new UncheckedIOException("cannot read " + RESOURCE, e);
            }
            Map<String, Integer> vocabulary = new HashMap<>();
            for (String endOfWord : List.of("", END_OF_WORD)) {
                for (boolean visible : List.of(true, false)) {
                    IntStream.range(0, 256).filter(b -> ByteSymbols.isVisible(b) == visible)
                            .forEach(b -> vocabulary.put(ByteSymbols.of(b) + endOfWord, vocabulary.size()));
                }
            }
            merges.forEach(merge -> vocabulary.put(merge.left + merge.right, vocabulary.size()));
            vocabulary.put(START, vocabulary.size());
            vocabulary.put(END, vocabulary.size());
            return create(vocabulary, merges, Settings.DEFAULT, RESOURCE);
        }
    }
}
