package io.invadapter.engine.text;

import io.invadapter.base.InvalidRequestException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * A text as the text encoder takes it: one chunk of tokens, or several where it is long or divided.
 *
 * @param chunks  at least one
 * @param notices what a client should know about the text, in one sentence each
 */
public record Prompt(List<Chunk> chunks, List<String> notices) {
    /** webui's {@code comma_padding_backtrack}: that far before the end of a chunk a comma is a better place to divide. */
    private static final int NEAR = 20;
    private static final int MOST_CHUNKS = 32;

    /**
     * What goes through the text encoder at once.
     *
     * @param ids     start, tokens, end and padding
     * @param weights of each of them, or {@code null} when all are 1
     */
    public record Chunk(int[] ids, float[] weights) {
        public Chunk {
            Objects.requireNonNull(ids, "ids");
        }

        /** The hidden state {@code [ids.length, channels]} of the encoder's layer, counted from the last, with the weights in it. */
        public float[] encode(ClipTextEncoder encoder, int layer) {
            float[] states = encoder.encode(ids, layer);
            if (weights != null) {
                weigh(states);
            }
            return states;
        }

        /** webui's emphasis "Original": the states times the weights, scaled so that their mean is what it was. */
        private void weigh(float[] states) {
            int channels = states.length / weights.length;
            double before = 0;
            double after = 0;
            for (int i = 0; i < states.length; i++) {
                before += states[i];
                states[i] *= weights[i / channels];
                after += states[i];
            }
            float restored = (float) (before / after);
            // Where the weighted states cancel out there is no mean to restore.
            if (restored != 0 && Float.isFinite(restored)) {
                for (int i = 0; i < states.length; i++) {
                    states[i] *= restored;
                }
            }
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Chunk chunk && Arrays.equals(ids, chunk.ids) && Arrays.equals(weights, chunk.weights);
        }

        @Override
        public int hashCode() {
            return 31 * Arrays.hashCode(ids) + Arrays.hashCode(weights);
        }
    }

    public Prompt {
        chunks = List.copyOf(chunks);
        notices = List.copyOf(notices);
    }

    /**
     * Word for word: every character is one of the text, and what is too long for one chunk is cut.
     *
     * @param what the text is, for messages
     */
    public static Prompt plain(String what, String text, ClipTokenizer tokenizer) {
        ClipTokenizer.Encoding encoding = tokenizer.encode(text);
        return new Prompt(List.of(new Chunk(encoding.ids(), null)), PromptNotices.plain(what, text, encoding, tokenizer.maxLength()));
    }

    /**
     * By the rules of stable-diffusion-webui: {@link PromptSyntax weights and BREAK}; a text that is longer than a chunk goes on in the
     * next one, divided behind a comma where one is near, and a placeholder stays whole.
     *
     * @throws InvalidRequestException when it is longer than 32 chunks, or its weights are no numbers to compute with
     */
    public static Prompt weighted(String what, String text, ClipTokenizer tokenizer) {
        Chunker chunker = new Chunker(what, tokenizer);
        for (PromptSyntax.Span span : PromptSyntax.parse(what, text)) {
            if (span.isBreak()) {
                chunker.next();
                continue;
            }
            for (int[] token : tokenizer.split(span.text())) {
                chunker.add(token, (float) span.weight());
            }
        }
        return new Prompt(chunker.finished(), PromptNotices.weighted(what, text));
    }

    /** The same text, with empty chunks behind it until there are {@code count}. */
    public Prompt padded(int count, ClipTokenizer tokenizer) {
        List<Chunk> all = new ArrayList<>(chunks);
        while (all.size() < count) {
            all.add(new Chunk(tokenizer.framed(new int[0], 0), null));
        }
        return new Prompt(all, notices);
    }

    /** Divides tokens into chunks. */
    private static final class Chunker {
        private static final int NONE = -1;

        private final String what;
        private final ClipTokenizer tokenizer;
        private final int room;
        private final List<Chunk> chunks = new ArrayList<>();
        private int[] ids;
        private float[] weights;
        private int count;
        private int lastComma = NONE;

        Chunker(String what, ClipTokenizer tokenizer) {
            this.what = what;
            this.tokenizer = tokenizer;
            this.room = tokenizer.room();
            this.ids = new int[room];
            this.weights = new float[room];
        }

        /** @param token one id, or all of a placeholder */
        void add(int[] token, float weight) {
            if (token.length == 1 && tokenizer.isComma(token[0])) {
                lastComma = count;
            } else if (count == room && lastComma != NONE && count - lastComma <= NEAR) {
                carryOver(lastComma + 1);
            }
            if (count + token.length > room) {
                next();
            }
            for (int id : token) {
                ids[count] = id;
                weights[count++] = weight;
            }
        }

        /** Ends the chunk in front of {@code from}; what is behind it begins the next. */
        private void carryOver(int from) {
            int[] laterIds = Arrays.copyOfRange(ids, from, count);
            float[] laterWeights = Arrays.copyOfRange(weights, from, count);
            count = from;
            next();
            System.arraycopy(laterIds, 0, ids, 0, laterIds.length);
            System.arraycopy(laterWeights, 0, weights, 0, laterIds.length);
            count = laterIds.length;
        }

        void next() {
            if (chunks.size() == MOST_CHUNKS) {
                throw new InvalidRequestException("the " + what + " is longer than " + MOST_CHUNKS + " chunks of " + room + " tokens");
            }
            float[] all = new float[room + 2];
            Arrays.fill(all, 1);
            System.arraycopy(weights, 0, all, 1, count);
            boolean even = true;
            for (float weight : all) {
                even &= weight == 1;
            }
            chunks.add(new Chunk(tokenizer.framed(ids, count), even ? null : all));
            count = 0;
            lastComma = NONE;
        }

        List<Chunk> finished() {
            if (count > 0 || chunks.isEmpty()) {
                next();
            }
            return chunks;
        }
    }
}
