package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.naming.LoraKey;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/** What a safetensors file is, by its names and shapes: for lists of files, and for the sentence that refuses one where another kind is expected. */
public final class FileKind {

    /** @param family {@code of} or {@code for}, where the family of models is said too; else empty */
    private record Kind(String what, String family, Predicate<Contents> fits) {
    }

    private static final Kind CHECKPOINT = new Kind("a checkpoint", "of", file -> file.has("model.diffusion_model."));
    private static final Kind LORA = new Kind("a LoRA", "for", Contents::isMostlyFactors);

    /** The first that fits counts. Marks are looked for in the names that are no factors of a LoRA. */
    private static final List<Kind> KINDS = List.of(
            new Kind("an Inv-Adapter", "", file -> "inv-adapter".equals(file.source.metadata().get("format")) || file.has(".eaa.")),
            new Kind("a PhotoMaker", "", file -> file.has("^id_encoder.")),
            new Kind("an InstantID", "", file -> file.has("^image_proj.latents") && file.has("^ip_adapter.") && file.isMatrix("image_proj.proj_in.weight", 512)),
            new Kind("an IP-Adapter FaceID", "for", file -> file.has("^ip_adapter.") && file.factors > 0),
            new Kind("an IP-Adapter Plus", "for", file -> file.has("^image_proj.latents")),
            new Kind("an IP-Adapter", "for", file -> file.has("^ip_adapter", "^image_proj.", "ip_adapter_")),
            new Kind("a ControlNet", "for", file -> file.has("^lllite_", "^control_model.", "^lora_controlnet", "controlnet_", "input_hint_block.")),
            new Kind("a T2I-Adapter", "", file -> file.has("^body.0.block1.", "^body.0.body.", "^adapter.body.")),
            new Kind("a motion module of AnimateDiff", "", file -> file.has("motion_modules.")),
            new Kind("a hypernetwork", "", file -> file.has("^320.", "^640.", "^768.", "^1024.", "^1280.")),
            new Kind("an upscaler of pictures", "", file -> file.has("^conv_first.", ".rdb1.", ".RDB1.", "residual_group.", "^RRDB_trunk.")
                    || file.has("^body.0.weight") && file.has("^body.1.weight")),
            new Kind("a checkpoint of Stable Video Diffusion", "", file -> file.has("model.diffusion_model.") && file.has(".time_stack.")),
            new Kind("a checkpoint of Stable unCLIP", "", file -> file.has("model.diffusion_model.") && file.has("^embedder.model.", "^noise_augmentor.")),
            new Kind("a checkpoint of Stable Diffusion's upscaler", "", file -> file.has("model.diffusion_model.label_emb.weight")),
            new Kind("a checkpoint of Stable Diffusion XL", "", file -> file.has("conditioner.embedders.", "model.diffusion_model.label_emb.")),
            new Kind("a model of Stable Diffusion 3", "", file -> file.has("joint_blocks.") || file.has("^transformer_blocks.0.") && file.has("^context_embedder.")
                    && file.has("^pos_embed.")),
            new Kind("a model of Flux", "", file -> file.has("double_blocks.", "single_transformer_blocks.")),
            new Kind("a model of Stable Cascade", "", file -> file.has("down_blocks.0.0.channelwise.", "clip_txt_mapper.", "clip_txt_pooled_mapper.")),
            new Kind("a model with a transformer in place of a UNet", "", file -> file.has("^transformer_blocks.", "diffusion_model.blocks.", "diffusion_model.layers.")),
            CHECKPOINT,
            new Kind("a UNet", "of", file -> file.has("^conv_in.weight", "^input_blocks.")),
            new Kind("a tiny VAE (TAESD)", "", file -> file.has("^decoder.layers.") && !file.has(".self_attn.")),
            new Kind("a VAE", "", file -> file.has("encoder.conv_in.weight", "decoder.conv_in.weight")),
            new Kind("a CLIP of texts and pictures", "", file -> file.has("vision_model.", "visual.") && file.has("token_embedding.weight")),
            new Kind("an image encoder (CLIP vision)", "", file -> file.has("vision_model.", "visual.")),
            new Kind("a T5 text encoder", "", file -> file.has("encoder.block.0.layer.0.SelfAttention.")),
            new Kind("a language model", "", file -> file.has("^model.embed_tokens.")),
            new Kind("a text encoder", "", file -> file.has("token_embedding.weight")),
            LORA,
            new Kind("an embedding (textual inversion)", "for", file -> file.has("^emb_params", "^string_to_param", "^clip_l", "^clip_g", "^<")
                    || file.others.size() == 1 && file.isMatrix(file.others.getFirst())));

    private FileKind() {
    }

    /** With its article, and the models it is of or for where that shows: {@code a ControlNet for Stable Diffusion 1.x}. */
    public static String of(WeightSource file) {
        Contents found = new Contents(file);
        for (Kind kind : KINDS) {
            if (kind.fits.test(found)) {
                return kind.what + (kind.family.isEmpty() ? "" : ModelFamily.of(file).map(family -> " " + kind.family + " " + family).orElse(""));
            }
        }
        int tensors = file.names().size();
        return tensors == 0 ? "a file without tensors" : (tensors == 1 ? "a file of one tensor, '" : "a file of " + tensors + " tensors such as '")
                + file.names().iterator().next() + "'";
    }

    /** Whether it has what a checkpoint of Stable Diffusion 1.x and 2.x has, and not what others have. */
    static boolean isCheckpoint(WeightSource file) {
        return is(CHECKPOINT, file);
    }

    static boolean isLora(WeightSource file) {
        return is(LORA, file);
    }

    private static boolean is(Kind kind, WeightSource file) {
        Contents found = new Contents(file);
        return KINDS.stream().filter(other -> other.fits.test(found)).findFirst().filter(kind::equals).isPresent();
    }

    /** Of a file. */
    private static final class Contents {

        private final WeightSource source;
        private final List<String> others = new ArrayList<>();
        private int factors;

        Contents(WeightSource source) {
            this.source = source;
            for (String name : source.names()) {
                if (LoraKey.of(name).isPresent()) {
                    factors++;
                } else {
                    others.add(name);
                }
            }
        }

        /** @param marks one of them must be in a name; one with {@code ^} in front at its beginning */
        boolean has(String... marks) {
            for (String mark : marks) {
                Predicate<String> fits = mark.startsWith("^") ? name -> name.startsWith(mark.substring(1)) : name -> name.contains(mark);
                if (others.stream().anyMatch(fits)) {
                    return true;
                }
            }
            return false;
        }

        /** Factors of kinds that are not computed count too, by the beginnings of their names. */
        boolean isMostlyFactors() {
            return has("^lora_unet_", "^lora_te", "^lycoris_") || factors > others.stream().filter(name -> !name.startsWith("bundle_emb.")).count();
        }

        /** @param columns none: any */
        boolean isMatrix(String name, long... columns) {
            try {
                long[] shape = source.tensor(name).shape();
                return columns.length == 0 ? shape.length == 1 || shape.length == 2 : shape.length == 2 && shape[1] == columns[0];
            } catch (WeightException e) {
                // Of a type that cannot be read.
                return false;
            }
        }
    }
}
