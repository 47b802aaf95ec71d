package io.invadapter.engine.request;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.picture.FacePicture;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Objects;

/**
 * What to make. {@link #builder()} fills in the rest.
 *
 * @param face          the person to keep, of at least 32 x 32 pixels, or {@code null} for plain text to image
 * @param caption       describes the face's picture, for its inversion
 * @param steps         1 to 1000; 0: the model's own
 * @param sampler       by a name of stable-diffusion-webui, ComfyUI or diffusers, e.g. {@code "DPM++ 2M Karras"}; empty: DDIM, by which
 *                      a face is inverted, for a picture of a person, the model's own for others and where that is LCM; before both comes
 *                      what the model's folder names in {@code invadapter.json}
 * @param guidanceScale 0 to 100, 1 or less: no guidance; not a number: the model's own
 * @param guidanceRescale how much of the contrast that guidance adds is taken back, 0 to 1 (Lin et al. 2023, phi)
 * @param identityScale lambda, 0 to 5, of which up to about 1.2 is useful; not a number: what the adapter recommends
 * @param seed          of the first picture; the others take seed + 1, seed + 2, …
 * @param count         of pictures, 1 to 1000
 * @param promptSyntax  whether prompt and negative prompt have stable-diffusion-webui's weights, {@code (word:1.3)} and {@code [word]},
 *                      BREAK and any length; otherwise they are read word for word and cut at 75 tokens, as the caption always is
 * @param clipSkip      the layer of the text encoder whose states are the texts, counted from the last, which is 1; 0: the model's own
 * @param width         in pixels; 0: that of {@code init}, rounded down to what the model can do, else the model's own
 * @param height        in pixels; 0: that of {@code init}, rounded down to what the model can do, else the model's own
 * @param init          a picture to start from, or {@code null} to start from noise
 * @param loras         laid over the model for this request, beside those that the pipeline has. What the prompt asks for by a tag such
 *                      as {@code <lora:name:0.8>} must be among them: {@link io.invadapter.engine.pipeline.LoraFolder} finds it
 */
public record GenerationRequest(String prompt, String negativePrompt, BufferedImage face, String caption, int steps,
        String sampler, double guidanceScale, double guidanceRescale, double identityScale, boolean promptSyntax, int clipSkip,
        long seed, int count, int width, int height, Init init,
        IdentityLayers identityLayers, IdentityRows identityRows, List<LoraUse> loras, ProgressListener listener, Cancellation cancellation) {
    private static final int MAX_STEPS = 1000;
    private static final int MAX_COUNT = 1000;
    private static final int MAX_SIZE = 4096;
    private static final double MAX_GUIDANCE = 100;
    private static final double MAX_IDENTITY_SCALE = 5;

    /**
     * Refuses what no model can do; what depends on the model is found when the request is carried out.
     *
     * @throws InvalidRequestException when a number is out of range, or characters of a text were lost before it came here
     * @throws NullPointerException    when anything but the face or {@code init} is {@code null}; the message says which
     */
    public GenerationRequest {
        Objects.requireNonNull(prompt, "prompt");
        Objects.requireNonNull(negativePrompt, "negativePrompt");
        Objects.requireNonNull(caption, "caption");
        Objects.requireNonNull(sampler, "sampler");
        Objects.requireNonNull(identityLayers, "identityLayers");
        Objects.requireNonNull(identityRows, "identityRows");
        loras = List.copyOf(Objects.requireNonNull(loras, "loras"));
        Objects.requireNonNull(listener, "listener");
        Objects.requireNonNull(cancellation, "cancellation");
        requireCharacters("prompt", prompt);
        requireCharacters("negative prompt", negativePrompt);
        requireCharacters("caption", caption);
        if (face != null) {
            FacePicture.requireSize(face.getWidth(), face.getHeight());
        }
        if (steps != 0) {
            requireSteps(steps);
        }
        if (clipSkip < 0) {
            throw new InvalidRequestException("clip skip must be 1 or more, not " + clipSkip);
        }
        if (count < 1 || count > MAX_COUNT) {
            throw new InvalidRequestException("count must be between 1 and " + MAX_COUNT + ", not " + count);
        }
        if (width < 0 || height < 0 || width > MAX_SIZE || height > MAX_SIZE) {
            throw new InvalidRequestException("size " + width + "x" + height + ": width and height must be between 1 and " + MAX_SIZE);
        }
        if (init != null && (width == 0 && init.picture().getWidth() > MAX_SIZE || height == 0 && init.picture().getHeight() > MAX_SIZE)) {
            throw new InvalidRequestException("the picture to start from has " + init.picture().getWidth() + " x " + init.picture().getHeight()
                    + " pixels; expected at most " + MAX_SIZE + " in each direction, or a size to make");
        }
        if (!Double.isNaN(guidanceScale)) {
            requireGuidance(guidanceScale);
        }
        if (!(guidanceRescale >= 0 && guidanceRescale <= 1)) {
            throw new InvalidRequestException("guidance rescale must be between 0 and 1, not " + guidanceRescale);
        }
        if (identityScale < 0 || identityScale > MAX_IDENTITY_SCALE) {
            throw new InvalidRequestException("the identity's scale must be between 0 and " + (int) MAX_IDENTITY_SCALE + ", not "
                    + identityScale);
        }
    }

    public static void requireSteps(int steps) {
        if (steps < 1 || steps > MAX_STEPS) {
            throw new InvalidRequestException("steps must be between 1 and " + MAX_STEPS + ", not " + steps);
        }
    }

    private static void requireGuidance(double scale) {
        if (!(scale >= 0 && scale <= MAX_GUIDANCE)) {
            throw new InvalidRequestException("guidance must be between 0 and " + (int) MAX_GUIDANCE + ", not " + scale);
        }
    }

    /**
     * What stands for characters that could not be decoded would be drawn as something else.
     *
     * @throws InvalidRequestException when {@code text} holds U+FFFD
     */
    public static void requireCharacters(String name, String text) {
        if (text.indexOf('\uFFFD') >= 0) {
            throw new InvalidRequestException("the " + name + " holds U+FFFD in place of characters that could not be decoded: "
                    + "set a UTF-8 locale, e.g. LC_ALL=C.UTF-8");
        }
    }

    public static Builder builder() {
        return new Builder();
    }

    /** With the model's own numbers where this request leaves them open. */
    public GenerationRequest filled(int ownSteps, double ownGuidance, double ownIdentityScale, int ownWidth, int ownHeight) {
        return new GenerationRequest(prompt, negativePrompt, face, caption, steps == 0 ? ownSteps : steps, sampler,
                Double.isNaN(guidanceScale) ? ownGuidance : guidanceScale, guidanceRescale,
                face == null ? 0 : Double.isNaN(identityScale) ? ownIdentityScale : identityScale, promptSyntax, clipSkip, seed, count,
                width == 0 ? ownWidth : width, height == 0 ? ownHeight : height, init, identityLayers, identityRows, loras,
                listener, cancellation);
    }

    /** Collects a request. */
    public static final class Builder {
        private String prompt = "";
        private String negativePrompt = "";
        private BufferedImage face;
        private String caption = "a portrait of a person";
        private Integer steps;
        private String sampler = "";
        private Double guidanceScale;
        private double guidanceRescale;
        private double identityScale = Double.NaN;
        private boolean promptSyntax = true;
        private int clipSkip;
        private long seed;
        private int count = 1;
        private int width;
        private int height;
        private BufferedImage init;
        private BufferedImage mask;
        private Double strength;
        private IdentityLayers identityLayers = IdentityLayers.BOTH;
        private IdentityRows identityRows = IdentityRows.PROMPT;
        private List<LoraUse> loras = List.of();
        private ProgressListener listener = ProgressListener.NONE;
        private Cancellation cancellation = new Cancellation();

        private Builder() {
        }

        public Builder prompt(String value) {
            prompt = Objects.requireNonNull(value, "prompt");
            return this;
        }

        public Builder negativePrompt(String value) {
            negativePrompt = Objects.requireNonNull(value, "negativePrompt");
            return this;
        }

        public Builder face(BufferedImage value) {
            face = value;
            return this;
        }

        public Builder caption(String value) {
            caption = Objects.requireNonNull(value, "caption");
            return this;
        }

        public Builder steps(int value) {
            steps = value;
            return this;
        }

        /** {@code null} or empty: what the model, or the face, asks for. */
        public Builder sampler(String value) {
            sampler = value == null ? "" : value;
            return this;
        }

        public Builder guidanceScale(double value) {
            guidanceScale = value;
            return this;
        }

        public Builder guidanceRescale(double value) {
            guidanceRescale = value;
            return this;
        }

        public Builder identityScale(double value) {
            identityScale = value;
            return this;
        }

        public Builder promptSyntax(boolean value) {
            promptSyntax = value;
            return this;
        }

        public Builder clipSkip(int value) {
            clipSkip = value;
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

        /** A picture to start from, {@link Init#picture}; {@code null}: noise. */
        public Builder init(BufferedImage value) {
            init = value;
            return this;
        }

        /** What is repainted of {@link #init}, {@link Init#mask}; {@code null}: all of it. */
        public Builder mask(BufferedImage value) {
            mask = value;
            return this;
        }

        /** How much {@link #init} is changed, {@link Init#strength}; when nothing is said 0.75, or 1 with a mask. */
        public Builder strength(double value) {
            strength = value;
            return this;
        }

        public Builder identityLayers(IdentityLayers value) {
            identityLayers = Objects.requireNonNull(value, "identityLayers");
            return this;
        }

        public Builder identityRows(IdentityRows value) {
            identityRows = Objects.requireNonNull(value, "identityRows");
            return this;
        }

        public Builder loras(List<LoraUse> value) {
            loras = List.copyOf(Objects.requireNonNull(value, "loras"));
            return this;
        }

        public Builder listener(ProgressListener value) {
            listener = Objects.requireNonNull(value, "listener");
            return this;
        }

        public Builder cancellation(Cancellation value) {
            cancellation = Objects.requireNonNull(value, "cancellation");
            return this;
        }

        /** @throws InvalidRequestException when a number is out of range, or characters of a text were lost before it came here */
        public GenerationRequest build() {
            if (steps != null) {
                requireSteps(steps);
            }
            if (guidanceScale != null) {
                requireGuidance(guidanceScale);
            }
            if (strength != null) {
                Init.requireStrength(strength);
            }
            if (init == null && (mask != null || strength != null)) {
                throw new InvalidRequestException((mask != null ? "a mask" : "a strength") + " says how a picture is changed, and there is no picture"
                        + " to start from (init)");
            }
            return new GenerationRequest(prompt, negativePrompt, face, caption, steps == null ? 0 : steps, sampler,
                    guidanceScale == null ? Double.NaN : guidanceScale, guidanceRescale, identityScale, promptSyntax, clipSkip, seed, count, width, height,
                    init == null ? null : new Init(init, mask, strength == null ? Double.NaN : strength),
                    identityLayers, identityRows, loras, listener, cancellation);
        }
    }
}
