package io.invadapter.engine.text;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
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

    /** The number of positions of CLIP's text encoder. */
    private static final int DEFAULT_LENGTH = 77;
    private static final int NO_COMMA = -1;
    /** Far more than any vocabulary; what is larger would ask for a table of embeddings that no memory holds. */
    private static final int LARGEST_ID = 1 << 24;

    /**
     * The pieces of a normalised text; the white space between them is dropped. A special token matches here only when it
     * was not recognised as one, for instance because it is written in capitals; it then is the three pieces of the groups.
     */
    private static final Pattern PIECE = Pattern.compile(
            "(<\\|)(startoftext|endoftext)(\\|>)|'s|'t|'re|'ve|'m|'ll|'d|\\p{L}++|\\p{N}|[^\\p{IsWhite_Space}\\p{L}\\p{N}]++");

    private final BytePairs bytePairs;
    private final AddedTokens rawTokens;
    private final AddedTokens normalisedTokens;
    /** The same, but for placeholders that are not found inside words. */
    private final AddedTokens normalisedWords;
    private final Marks marks;
    private final int vocabularySize;
    private final int maxLength;
    /** Whether {@link #maxLength} is in the model's files. */
    private final boolean ownLength;

    /** Ids with a meaning. @param comma behind which a long text is divided, {@link #NO_COMMA} where the vocabulary has none */
    private record Marks(int start, int end, int padding, int comma) {
    }

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

    private ClipTokenizer(BytePairs bytePairs, AddedTokens rawTokens, AddedTokens normalisedTokens, AddedTokens normalisedWords, Marks marks,
            int vocabularySize, int maxLength, boolean ownLength) {
        this.bytePairs = bytePairs;
        this.rawTokens = rawTokens;
        this.normalisedTokens = normalisedTokens;
        this.normalisedWords = normalisedWords;
        this.marks = marks;
        this.vocabularySize = vocabularySize;
        this.maxLength = maxLength;
        this.ownLength = ownLength;
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
        Optional<JsonValue> tokenizerJson = TokenizerSettings.readIfPresent(folder.resolve("tokenizer.json"));
        Map<String, Integer> vocabulary;
        List<Merge> merges;
        if (tokenizerJson.isPresent()) {
            JsonValue model = tokenizerJson.get().get("model");
            model.find("type").filter(type -> !type.asString().equals("BPE")).ifPresent(type -> {
                throw new WeightException(type.where() + " is " + type + " where \"BPE\" is expected");
            });
            vocabulary = model.get("vocab").asIntegers();
            merges = model.get("merges").asList().stream().map(Merge::read).toList();
        } else {
            vocabulary = Json.read(folder.resolve("vocab.json")).asIntegers();
            Path file = folder.resolve("merges.txt");
            try (InputStream in = Files.newInputStream(file)) {
                merges = Merge.readAll(in, file.toString());
            } catch (NoSuchFileException e) {
                throw WeightException.missing(file);
            } catch (CharacterCodingException e) {
                throw new WeightException(file + " is not valid UTF-8", e);
            } catch (IOException e) {
                throw new WeightException(file + " cannot be read: " + e.getMessage(), e);
            }
        }
        return create(vocabulary, merges, TokenizerSettings.read(folder, tokenizerJson, notices), folder.toString());
    }

    /** The same tokenizer with another number of ids. */
    public ClipTokenizer withMaxLength(int newMaxLength) {
        if (newMaxLength < TokenizerSettings.MIN_LENGTH) {
            throw new IllegalArgumentException("a maximum length of " + newMaxLength + " has no room for the start and the end token");
        }
        return new ClipTokenizer(bytePairs, rawTokens, normalisedTokens, normalisedWords, marks, vocabularySize, newMaxLength, true);
    }

    /** The same tokenizer for a text encoder with that many positions: it fills them, unless its files give it a smaller length. */
    public ClipTokenizer withPositions(int positions) {
        return withMaxLength(ownLength ? Math.min(maxLength, positions) : positions);
    }

    /** The same tokenizer with another id behind the end token: OpenCLIP's models, Stable Diffusion 2 among them, have 0 there. */
    public ClipTokenizer withPadding(int id) {
        return new ClipTokenizer(bytePairs, rawTokens, normalisedTokens, normalisedWords, new Marks(marks.start, marks.end, id, marks.comma),
                vocabularySize, maxLength, ownLength);
    }

    /**
     * The same tokenizer with placeholders: where one occurs, in capitals too, the ids of its vectors follow each other. {@link #encode}
     * finds them wherever they occur, as diffusers does; by webui's rules, which {@link Prompt#weighted} follows, one that is a plain word,
     * as a file's name may be, is not found inside another word.
     *
     * @param inversions in the order of their ids
     * @param firstId    the number of embeddings that the text encoder has of its own
     * @throws WeightException when a placeholder is an added token of the tokenizer's own
     */
    public ClipTokenizer withPlaceholders(List<TextualInversion> inversions, int firstId) {
        for (TextualInversion inversion : inversions) {
            if (rawTokens.contains(inversion.placeholder()) || normalisedTokens.contains(NormalisedText.of(inversion.placeholder()))) {
                throw new WeightException(inversion.file() + " names " + Json.quote(inversion.placeholder())
                        + " as its placeholder, which is a token of the model's own");
            }
        }
        return new ClipTokenizer(bytePairs, rawTokens, normalisedTokens.with(inversions, firstId, false),
                normalisedWords.with(inversions, firstId, true), marks, vocabularySize, maxLength, ownLength);
    }

    /** The number of ids in every encoding. */
    public int maxLength() {
        return maxLength;
    }

    /** For the tokens of a text, without start and end. */
    public int room() {
        return maxLength - 2;
    }

    /** One more than the largest id, placeholders left out: the least number of embeddings that the text encoder must have. */
    public int vocabularySize() {
        return vocabularySize;
    }

    /** The id that ends a text; the text encoder's state there stands for all of it. */
    public int end() {
        return marks.end;
    }

    boolean isComma(int id) {
        return id == marks.comma;
    }

    /** Encodes any text, also an empty one. */
    public Encoding encode(String text) {
        Room room = new Room();
        read(text, normalisedTokens, room);
        return room.encoding();
    }

    /**
     * The ids of a whole text, without start, end and padding: a placeholder's together, every other by itself. A placeholder that is a
     * plain word is not found inside another.
     */
    List<int[]> split(String text) {
        List<int[]> tokens = new ArrayList<>();
        read(text, normalisedWords, new Sink() {
            @Override
            public void token(String content, int[] ids) {
                tokens.add(ids);
            }

            @Override
            public void words(String normalised) {
                PIECE.matcher(normalised).results().flatMapToInt(piece -> Arrays.stream(ids(piece))).forEach(id -> tokens.add(new int[] {id}));
            }
        });
        return tokens;
    }

    /** Start token, {@code count} of {@code ids}, end token and padding. */
    int[] framed(int[] ids, int count) {
        int[] all = new int[maxLength];
        all[0] = marks.start;
        System.arraycopy(ids, 0, all, 1, count);
        all[count + 1] = marks.end;
        Arrays.fill(all, count + 2, maxLength, marks.padding);
        return all;
    }

    private interface Sink {
        /** One that is found by its spelling. */
        void token(String content, int[] ids);

        /** What is between these. */
        void words(String normalised);
    }

    /** @param found in the normalised text */
    private void read(String text, AddedTokens found, Sink sink) {
        // Half a surrogate pair is no character; on the way through UTF-16 bytes it becomes the replacement character.
        String characters = new String(text.getBytes(StandardCharsets.UTF_16), StandardCharsets.UTF_16);
        rawTokens.split(characters, sink::token, between -> found.split(NormalisedText.of(between), sink::token, sink::words));
    }

    private int[] ids(MatchResult piece) {
        return piece.group(1) == null ? bytePairs.encode(piece.group())
                : IntStream.rangeClosed(1, 3).flatMap(i -> Arrays.stream(bytePairs.encode(piece.group(i)))).toArray();
    }

    private static ClipTokenizer create(Map<String, Integer> vocabulary, List<Merge> merges, TokenizerSettings settings, String where) {
        Map<String, Integer> raw = new HashMap<>();
        Map<String, Integer> normalised = new HashMap<>();
        Map<String, Integer> added = new HashMap<>();
        settings.addedTokens().forEach((content, token) -> {
            Integer id = vocabulary.getOrDefault(content, token.id());
            if (id == null) {
                throw new WeightException(where + " names the special token " + Json.quote(content) + ", which is not in its vocabulary");
            }
            added.put(content, id);
            if (token.normalised()) {
                normalised.put(NormalisedText.of(content), id);
            } else {
                raw.put(content, id);
            }
        });
        Stream.of(vocabulary, added).flatMap(ids -> ids.entrySet().stream()).filter(token -> token.getValue() < 0 || token.getValue() > LARGEST_ID)
                .findFirst().ifPresent(token -> {
                    throw new WeightException(where + ": the id of the token " + Json.quote(token.getKey()) + " is " + token.getValue()
                            + " where a number from 0 to " + LARGEST_ID + " is expected");
                });
        int largest = Math.max(Collections.max(added.values()), vocabulary.isEmpty() ? 0 : Collections.max(vocabulary.values()));
        Marks marks = new Marks(added.get(settings.start()), added.get(settings.end()), added.get(settings.padding()),
                vocabulary.getOrDefault("," + BytePairs.END_OF_WORD, NO_COMMA));
        return new ClipTokenizer(new BytePairs(vocabulary, merges, added.get(settings.unknown())), AddedTokens.of(raw),
                AddedTokens.of(normalised), AddedTokens.of(normalised), marks, largest + 1,
                settings.maxLength().orElse(DEFAULT_LENGTH), settings.maxLength().isPresent());
    }

    /** Collects the ids of one text while there is room, and from then on the text that is cut. */
    private final class Room implements Sink {

        private final int[] ids = new int[room()];
        private final StringBuilder cut = new StringBuilder();
        private int count;

        @Override
        public void token(String content, int[] tokens) {
            if (!cut.isEmpty() || !add(tokens)) {
                cut.append(content);
            }
        }

        @Override
        public void words(String normalised) {
            if (!cut.isEmpty()) {
                cut.append(normalised);
                return;
            }
            Matcher piece = PIECE.matcher(normalised);
            while (piece.find()) {
                if (!add(ids(piece))) {
                    cut.append(normalised, piece.start(), normalised.length());
                    return;
                }
            }
        }

        /** Adds what fits before the end token; says whether that is all. */
        private boolean add(int[] tokens) {
            int fitting = Math.min(tokens.length, ids.length - count);
            System.arraycopy(tokens, 0, ids, count, fitting);
            count += fitting;
            return fitting == tokens.length;
        }

        Encoding encoding() {
            // Not strip(): that would also take control characters, which are words here.
            String words = cut.toString();
            return new Encoding(framed(ids, count), words.endsWith(" ") ? words.substring(0, words.length() - 1) : words);
        }
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
                merges = Merge.readAll(in, RESOURCE);
            } catch (IOException e) {
                throw new UncheckedIOException("cannot read " + RESOURCE, e);
            }
            Map<String, Integer> vocabulary = new HashMap<>();
            for (String endOfWord : List.of("", BytePairs.END_OF_WORD)) {
                for (boolean visible : List.of(true, false)) {
                    IntStream.range(0, 256).filter(b -> ByteSymbols.isVisible(b) == visible)
                            .forEach(b -> vocabulary.put(ByteSymbols.of(b) + endOfWord, vocabulary.size()));
                }
            }
            merges.forEach(merge -> vocabulary.put(merge.joined(), vocabulary.size()));
            vocabulary.put(TokenizerSettings.START, vocabulary.size());
            vocabulary.put(TokenizerSettings.END, vocabulary.size());
            return create(vocabulary, merges, TokenizerSettings.DEFAULT, RESOURCE);
        }
    }
}
