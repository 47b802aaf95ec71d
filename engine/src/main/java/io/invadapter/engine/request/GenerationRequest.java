package io.invadapter.engine.request;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.picture.FacePicture;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Objects;

/**
 * What to make. Each option is described where it is said, at the method of {@link Builder} that has its name. What nobody said is left
 * to the model: 0 steps, clip skip, width or height, and a guidance or identity scale that is not a number, stand for its own.
 */
public final class GenerationRequest {
    private static final int MAX_STEPS = 1000;
    private static final int MAX_COUNT = 1000;
    private static final int MAX_SIZE = 4096;
    private static final double MAX_GUIDANCE = 100;
    private static final double MAX_IDENTITY_SCALE = 5;

    /** A copy that nobody else has, so that it does not change. */
    private final Builder said;
    private final Init init;

    private GenerationRequest(Builder builder) {
        said = builder.copy();
        requireCharacters("prompt", said.prompt);
        requireCharacters("negative prompt", said.negativePrompt);
        requireCharacters("caption", said.caption);
        if (said.face != null) {
            FacePicture.requireSize(said.face.getWidth(), said.face.getHeight());
        }
        if (said.steps != null) {
            requireSteps(said.steps);
        }
        if (said.clipSkip < 0) {
            throw new InvalidRequestException("clip skip must be 1 or more, not " + said.clipSkip);
        }
        if (said.count < 1 || said.count > MAX_COUNT) {
            throw new InvalidRequestException("count must be between 1 and " + MAX_COUNT + ", not " + said.count);
        }
        if (said.guidanceScale != null && !(said.guidanceScale >= 0 && said.guidanceScale <= MAX_GUIDANCE)) {
            throw new InvalidRequestException("guidance must be between 0 and " + (int) MAX_GUIDANCE + ", not " + said.guidanceScale);
        }
        if (!(said.guidanceRescale >= 0 && said.guidanceRescale <= 1)) {
            throw new InvalidRequestException("guidance rescale must be between 0 and 1, not " + said.guidanceRescale);
        }
        if (Math.abs(said.identityScale) > MAX_IDENTITY_SCALE) {
            throw new InvalidRequestException("the identity's scale must be between " + (int) -MAX_IDENTITY_SCALE + " and "
                    + (int) MAX_IDENTITY_SCALE + ", not " + said.identityScale);
        }
        if (said.width < 0 || said.height < 0 || said.width > MAX_SIZE || said.height > MAX_SIZE) {
            throw new InvalidRequestException("size " + said.width + "x" + said.height + ": width and height must be between 1 and " + MAX_SIZE);
        }
        if (said.strength != null) {
            Init.requireStrength(said.strength);
        }
        if (said.init == null && (said.mask != null || said.strength != null)) {
            throw new InvalidRequestException((said.mask != null ? "a mask" : "a strength") + " says how a picture is changed, and there is no picture"
                    + " to start from (init)");
        }
        if (said.init != null && (said.width == 0 && said.init.getWidth() > MAX_SIZE || said.height == 0 && said.init.getHeight() > MAX_SIZE)) {
            throw new InvalidRequestException("the picture to start from has " + said.init.getWidth() + " x " + said.init.getHeight()
                    + " pixels; expected at most " + MAX_SIZE + " in each direction, or a size to make");
        }
        init = said.init == null ? null : new Init(said.init, said.mask, said.strength == null ? Double.NaN : said.strength);
    }

    /** @throws InvalidRequestException when no model makes as many steps */
    public static void requireSteps(int steps) {
        if (steps < 1 || steps > MAX_STEPS) {
            throw new InvalidRequestException("steps must be between 1 and " + MAX_STEPS + ", not " + steps);
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
        Builder filled = said.copy();
        filled.steps(steps() == 0 ? ownSteps : steps());
        filled.guidanceScale(Double.isNaN(guidanceScale()) ? ownGuidance : guidanceScale());
        filled.identityScale(face() == null ? 0 : Double.isNaN(identityScale()) ? ownIdentityScale : identityScale());
        filled.size(width() == 0 ? ownWidth : width(), height() == 0 ? ownHeight : height());
        return filled.build();
    }

    public String prompt() {
        return said.prompt;
    }

    public String negativePrompt() {
        return said.negativePrompt;
    }

    /** {@code null}: plain text to image. */
    public BufferedImage face() {
        return said.face;
    }

    public String caption() {
        return said.caption;
    }

    public int steps() {
        return said.steps == null ? 0 : said.steps;
    }

    public String sampler() {
        return said.sampler;
    }

    public double guidanceScale() {
        return said.guidanceScale == null ? Double.NaN : said.guidanceScale;
    }

    public double guidanceRescale() {
        return said.guidanceRescale;
    }

    public double identityScale() {
        return said.identityScale;
    }

    public boolean promptSyntax() {
        return said.promptSyntax;
    }

    public int clipSkip() {
        return said.clipSkip;
    }

    public long seed() {
        return said.seed;
    }

    public int count() {
        return said.count;
    }

    public int width() {
        return said.width;
    }

    public int height() {
        return said.height;
    }

    /** The picture to start from, with its mask and strength; {@code null}: noise. */
    public Init init() {
        return init;
    }

    public IdentityLayers identityLayers() {
        return said.identityLayers;
    }

    public IdentityRows identityRows() {
        return said.identityRows;
    }

    public List<LoraUse> loras() {
        return said.loras;
    }

    public ProgressListener listener() {
        return said.listener;
    }

    public Cancellation cancellation() {
        return said.cancellation;
    }

    /**
     * Collects a request, and may be built again after a change. Texts but for the sampler, lists and choices are refused with a
     * {@link NullPointerException} that names them when they are {@code null}; whatever else no model can do is found by {@link #build}, and what this model cannot
     * when the request is carried out.
     */
    public static final class Builder implements Cloneable {
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

        /** What to show; nothing when nothing is said. */
        public Builder prompt(String value) {
            prompt = Objects.requireNonNull(value, "prompt");
            return this;
        }

        /** What not to show; nothing when nothing is said. */
        public Builder negativePrompt(String value) {
            negativePrompt = Objects.requireNonNull(value, "negativePrompt");
            return this;
        }

        /** The person to keep, of at least 32 x 32 pixels; {@code null}: plain text to image. */
        public Builder face(BufferedImage value) {
            face = value;
            return this;
        }

        /** Describes the face's picture, for its inversion; read word for word and cut at 75 tokens. */
        public Builder caption(String value) {
            caption = Objects.requireNonNull(value, "caption");
            return this;
        }

        /** 1 to 1000; when nothing is said, the model's own. */
        public Builder steps(int value) {
            steps = value;
            return this;
        }

        /**
         * By a name of stable-diffusion-webui, ComfyUI or diffusers, e.g. {@code "DPM++ 2M Karras"}. {@code null} or empty, or nothing said:
         * what the model's folder names in {@code invadapter.json}; else DDIM, by which a face is inverted, for a picture of a person, and
         * the model's own for others and where that is LCM.
         */
        public Builder sampler(String value) {
            sampler = value == null ? "" : value;
            return this;
        }

        /** How closely the prompt is followed, 0 to 100; 1 or less: no guidance. When nothing is said, the model's own. */
        public Builder guidanceScale(double value) {
            guidanceScale = value;
            return this;
        }

        /** How much of the contrast that guidance adds is taken back, 0 to 1 (Lin et al. 2023, phi); 0 when nothing is said. */
        public Builder guidanceRescale(double value) {
            guidanceRescale = value;
            return this;
        }

        /**
         * Lambda, -5 to 5, of which 0 to about 1.2 is useful: a negative one leads away from the identity. Not a number, or nothing said: what
         * the adapter recommends.
         */
        public Builder identityScale(double value) {
            identityScale = value;
            return this;
        }

        /**
         * Whether prompt and negative prompt have stable-diffusion-webui's weights, {@code (word:1.3)} and {@code [word]}, BREAK and any
         * length, as they do when nothing is said; otherwise they are read word for word and cut at 75 tokens, as the caption always is.
         */
        public Builder promptSyntax(boolean value) {
            promptSyntax = value;
            return this;
        }

        /** The layer of the text encoder whose states are the texts, counted from the last, which is 1; 0, or nothing said: the model's own. */
        public Builder clipSkip(int value) {
            clipSkip = value;
            return this;
        }

        /** Of the first picture; the others take seed + 1, seed + 2, …; 0 when nothing is said. */
        public Builder seed(long value) {
            seed = value;
            return this;
        }

        /** How many pictures, 1 to 1000; 1 when nothing is said. */
        public Builder count(int value) {
            count = value;
            return this;
        }

        /**
         * In pixels, at most 4096 each. 0, or nothing said: that of {@link #init}, rounded down to what the model can do, else the model's
         * own.
         */
        public Builder size(int pixelsWide, int pixelsHigh) {
            width = pixelsWide;
            height = pixelsHigh;
            return this;
        }

        /** A picture to start from, {@link Init#picture}; {@code null}, or nothing said: noise. */
        public Builder init(BufferedImage value) {
            init = value;
            return this;
        }

        /** What is repainted of {@link #init}, {@link Init#mask}; {@code null}, or nothing said: all of it. */
        public Builder mask(BufferedImage value) {
            mask = value;
            return this;
        }

        /** How much {@link #init} is changed, {@link Init#strength}; when nothing is said 0.75, or 1 with a mask. */
        public Builder strength(double value) {
            strength = value;
            return this;
        }

        /** Which attention layers see the person; both kinds when nothing is said. */
        public Builder identityLayers(IdentityLayers value) {
            identityLayers = Objects.requireNonNull(value, "identityLayers");
            return this;
        }

        /** Which rows of guidance see the person; the prompt's when nothing is said. */
        public Builder identityRows(IdentityRows value) {
            identityRows = Objects.requireNonNull(value, "identityRows");
            return this;
        }

        /**
         * Laid over the model for this request, beside those that the pipeline has. What the prompt asks for by a tag such as
         * {@code <lora:name:0.8>} must be among them: {@link io.invadapter.engine.pipeline.LoraFolder} finds it.
         */
        public Builder loras(List<LoraUse> value) {
            loras = List.copyOf(Objects.requireNonNull(value, "loras"));
            return this;
        }

        /** Told how far the request is, and given its pictures one by one. */
        public Builder listener(ProgressListener value) {
            listener = Objects.requireNonNull(value, "listener");
            return this;
        }

        /** Stops the request from any thread. What a builder builds with no other said in between is stopped together. */
        public Builder cancellation(Cancellation value) {
            cancellation = Objects.requireNonNull(value, "cancellation");
            return this;
        }

        /** @throws InvalidRequestException when a number is out of range, or characters of a text were lost before it came here */
        public GenerationRequest build() {
            return new GenerationRequest(this);
        }

        private Builder copy() {
            try {
                return (Builder) clone();
            } catch (CloneNotSupportedException e) {
                throw new AssertionError(e);
            }
        }
    }
}
