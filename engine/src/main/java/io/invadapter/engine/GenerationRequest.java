package io.invadapter.engine;

import io.invadapter.engine.model.IdentityLayers;
import java.awt.image.BufferedImage;
import java.util.Objects;

/**
 * What to make. {@link #builder()} fills in the rest.
 *
 * @param face          the person to keep, or {@code null} for plain text to image
 * @param caption       describes the face's picture, for its inversion
 * @param guidanceScale 1 or less: no guidance
 * @param identityScale lambda, 0 to about 1.2; not a number: what the adapter recommends
 * @param seed          of the first picture; the others take seed + 1, seed + 2, …
 * @param width         in pixels; 0: the model's own
 * @param height        in pixels; 0: the model's own
 */
public record GenerationRequest(String prompt, String negativePrompt, BufferedImage face, String caption, int steps,
        double guidanceScale, double identityScale, long seed, int count, int width, int height,
        IdentityLayers identityLayers, IdentityRows identityRows, ProgressListener listener, Cancellation cancellation) {
    private static final int MAX_STEPS = 1000;
    private static final int MAX_COUNT = 1000;
    private static final int MAX_SIZE = 4096;

    /**
     * Refuses what no model can do; what depends on the model is found when the request is carried out.
     *
     * @throws InvalidRequestException when a number is out of range, or characters of a text were lost before it came here
     */
    public GenerationRequest {
        requireCharacters("prompt", prompt);
        requireCharacters("negative prompt", negativePrompt);
        requireCharacters("caption", caption);
        if (steps < 1 || steps > MAX_STEPS) {
            throw new InvalidRequestException("steps must be between 1 and " + MAX_STEPS + ", not " + steps);
        }
        if (count < 1 || count > MAX_COUNT) {
            throw new InvalidRequestException("count must be between 1 and " + MAX_COUNT + ", not " + count);
        }
        if (width < 0 || height < 0 || width > MAX_SIZE || height > MAX_SIZE) {
            throw new InvalidRequestException("size " + width + "x" + height + ": width and height must be between 1 and " + MAX_SIZE);
        }
        if (!Double.isFinite(guidanceScale)) {
            throw new InvalidRequestException("guidance must be a finite number, not " + guidanceScale);
        }
        if (Double.isInfinite(identityScale)) {
            throw new InvalidRequestException("the identity's scale must be a finite number, not " + identityScale);
        }
    }

    /**
     * What stands for characters that could not be decoded would be drawn as something else.
     *
     * @throws InvalidRequestException when {@code text} holds U+FFFD
     */
    static void requireCharacters(String name, String text) {
        if (text.indexOf('\uFFFD') >= 0) {
            throw new InvalidRequestException("the " + name + " holds U+FFFD in place of characters that could not be decoded: "
                    + "set a UTF-8 locale, e.g. LC_ALL=C.UTF-8");
        }
    }

    public static Builder builder() {
        return new Builder();
    }

    GenerationRequest with(Cancellation other) {
        return new GenerationRequest(prompt, negativePrompt, face, caption, steps, guidanceScale, identityScale, seed, count, width,
                height, identityLayers, identityRows, listener, other);
    }

    /** Collects a request. */
    public static final class Builder {
        private String prompt = "";
        private String negativePrompt = "";
        private BufferedImage face;
        private String caption = "a portrait of a person";
        private int steps = 50;
        private double guidanceScale = 7.5;
        private double identityScale = Double.NaN;
        private long seed;
        private int count = 1;
        private int width;
        private int height;
        private IdentityLayers identityLayers = IdentityLayers.BOTH;
        private IdentityRows identityRows = IdentityRows.PROMPT;
        private ProgressListener listener = ProgressListener.NONE;
        private Cancellation cancellation = new Cancellation();

        private Builder() {
        }

        public Builder prompt(String value) {
            prompt = Objects.requireNonNull(value);
            return this;
        }

        public Builder negativePrompt(String value) {
            negativePrompt = Objects.requireNonNull(value);
            return this;
        }

        public Builder face(BufferedImage value) {
            face = value;
            return this;
        }

        public Builder caption(String value) {
            caption = Objects.requireNonNull(value);
            return this;
        }

        public Builder steps(int value) {
            steps = value;
            return this;
        }

        public Builder guidanceScale(double value) {
            guidanceScale = value;
            return this;
        }

        public Builder identityScale(double value) {
            identityScale = value;
            return this;
        }

        public Builder seed(long value) {
            seed = value;
            return this;
        }

        public Builder count(int value) {
            count = value;
            return this;
        }

        public Builder size(int pixelsWide, int pixelsHigh) {
            width = pixelsWide;
            height = pixelsHigh;
            return this;
        }

        public Builder identityLayers(IdentityLayers value) {
            identityLayers = Objects.requireNonNull(value);
            return this;
        }

        public Builder identityRows(IdentityRows value) {
            identityRows = Objects.requireNonNull(value);
            return this;
        }

        public Builder listener(ProgressListener value) {
            listener = Objects.requireNonNull(value);
            return this;
        }

        public Builder cancellation(Cancellation value) {
            cancellation = Objects.requireNonNull(value);
            return this;
        }

        public GenerationRequest build() {
            return new GenerationRequest(prompt, negativePrompt, face, caption, steps, guidanceScale, identityScale, seed,
                    count, width, height, identityLayers, identityRows, listener, cancellation);
        }
    }
}
