package io.invadapter.engine.pipeline;

import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.request.InversionResult;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.engine.text.LoraTags;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** What a picture was made of, as the text that stable-diffusion-webui writes into its files and reads from them. */
public final class PictureParameters {

    private PictureParameters() {
    }

    /**
     * What a picture of a request was made of, as webui writes it. Whoever has the model, the adapter, the LoRAs and the textual inversions
     * that are named, and the pictures of face, start and mask, which are not, makes the same again.
     *
     * @param model   the name to put down for it
     * @param picture its number in the request, from 0
     */
    public static String of(GenerationRequest request, int picture, Pipeline pipeline, String model) {
        Objects.requireNonNull(model, "model");
        GenerationRequest made = pipeline.acceptance().filled(Objects.requireNonNull(request, "request"));
        String sampler = pipeline.acceptance().sampler(request).name();
        StringBuilder text = new StringBuilder(prompt(request, pipeline.loras()));
        if (!request.negativePrompt().isEmpty()) {
            text.append("\nNegative prompt: ").append(request.negativePrompt());
        }
        text.append(String.format(Locale.ROOT, "\nSteps: %d, Sampler: %s, CFG scale: %s, Seed: %d, Size: %dx%d, Model: %s",
                made.steps(), sampler, made.guidanceScale(), made.seed() + picture, made.width(), made.height(), quoted(model)));
        if (request.init() != null) {
            text.append(", Denoising strength: ").append(request.init().strength());
            if (request.init().mask() != null) {
                text.append(", Mask blur: 0");
            }
        }
        if (request.guidanceRescale() != 0) {
            text.append(", Guidance rescale: ").append(request.guidanceRescale());
        }
        text.append(clipSkip(request.clipSkip(), pipeline));
        if (!request.promptSyntax()) {
            text.append(", Emphasis: None");
        }
        if (request.face() != null) {
            text.append(", Inv-Adapter: ").append(quoted(pipeline.adapterName())).append(", Inv-Adapter scale: ").append(made.identityScale())
                    .append(", Inv-Adapter caption: ").append(quoted(request.caption()));
            if (request.identityLayers() != IdentityLayers.BOTH) {
                text.append(", Inv-Adapter layers: ").append(request.identityLayers());
            }
            if (request.identityRows() != IdentityRows.PROMPT) {
                text.append(", Inv-Adapter rows: ").append(request.identityRows());
            }
        }
        return text.toString();
    }

    /** What a reconstruction was made of, in the same form: the caption stands in the prompt's place. */
    public static String of(InversionResult result, String caption, int steps, Pipeline pipeline, String model) {
        Objects.requireNonNull(caption, "caption");
        Objects.requireNonNull(model, "model");
        BufferedImage picture = result.reconstruction();
        return String.format(Locale.ROOT, "%s%s\nSteps: %d, Sampler: DDIM inversion, CFG scale: 1.0, Size: %dx%d, Model: %s%s, "
                + "Inv-Adapter reconstruction error: %.4f", tags(pipeline.loras(), "", " "), caption, steps, picture.getWidth(), picture.getHeight(),
                quoted(model), clipSkip(0, pipeline), result.error());
    }

    /** With tags for all LoRAs, in the order in which they lie over the model; those that the prompt has stay where they are. */
    private static String prompt(GenerationRequest request, List<LoraUse> ofPipeline) {
        LoraTags written = LoraTags.cut(request.prompt());
        List<LoraUse> loras = request.loras();
        int tags = written.tags().size();
        boolean asWritten = tags <= loras.size() && IntStream.range(0, tags).allMatch(i -> isOf(written.tags().get(i), loras.get(i)));
        return tags(ofPipeline, "", " ") + (asWritten ? request.prompt() + tags(loras.subList(tags, loras.size()), " ", "")
                : written.prompt() + tags(loras, " ", ""));
    }

    private static boolean isOf(LoraTags.Tag tag, LoraUse lora) {
        return tag.name().equalsIgnoreCase(lora.name()) && tag.textEncoderScale() == lora.textEncoderScale() && tag.unetScale() == lora.unetScale();
    }

    private static String tags(List<LoraUse> loras, String before, String after) {
        return loras.stream().map(lora -> before + "<lora:" + lora + ">" + after).collect(Collectors.joining());
    }

    /** Where it is not 1, for webui knows no other default, and where 1 is not the model's own. */
    private static String clipSkip(int asked, Pipeline pipeline) {
        int own = pipeline.acceptance().clipSkip();
        int layer = asked == 0 ? own : asked;
        return layer == 1 && own == 1 ? "" : ", Clip skip: " + layer;
    }

    /** A value with a comma, a colon, a quotation mark or a line break needs quotation marks in that form. */
    private static String quoted(String value) {
        return value.matches("[^,:\"\n]*") ? value
                : '"' + value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }
}
