package io.invadapter.weights.model;

import io.invadapter.weights.json.JsonValue;
import java.util.List;
import java.util.Optional;

/**
 * What neither names nor shapes show in a single file of Stable Diffusion 2.x. Published models all have the same numbers; others are
 * for comparing with models that were made small.
 *
 * @param headSize      channels of an attention head in the UNet
 * @param groups        of the UNet's group norms
 * @param textHeadSize  channels of an attention head in the text encoder
 * @param vaeGroups     of the VAE's group norms
 * @param prediction    a {@code prediction_type} of diffusers, taken before all that a file says
 */
public record Untold(int headSize, int groups, int textHeadSize, int vaeGroups, Optional<String> prediction) {

    static final Untold PUBLISHED = new Untold(64, 32, 64, 32, Optional.empty());

    /** @param inferred from the weights */
    JsonValue unet(JsonValue inferred) {
        List<Long> heads = inferred.get("block_out_channels").asList().stream().map(c -> Math.max(1, c.asLong() / headSize)).toList();
        // By diffusers' definition this is the number of heads, not their size.
        return inferred.with("attention_head_dim", heads).with("norm_num_groups", groups);
    }

    JsonValue vae(JsonValue inferred) {
        return inferred.with("norm_num_groups", vaeGroups);
    }

    JsonValue textEncoder(JsonValue inferred) {
        return inferred.with("hidden_act", "gelu").with("num_attention_heads", Math.max(1, inferred.get("hidden_size").asLong() / textHeadSize))
                .with("pad_token_id", 0);
    }
}
