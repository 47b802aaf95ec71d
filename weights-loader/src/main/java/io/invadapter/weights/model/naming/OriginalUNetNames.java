package io.invadapter.weights.model.naming;

import java.util.Collection;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** What the original latent-diffusion code calls the layers of a UNet, whose blocks are one flat list there. */
final class OriginalUNetNames {

    private static final Pattern BLOCK = Pattern.compile("(down|up)_blocks\\.(\\d{1,3})\\.(resnets|attentions|downsamplers|upsamplers)\\.(\\d{1,3})\\.(.+)");
    private static final Pattern MIDDLE = Pattern.compile("mid_block\\.(resnets|attentions)\\.(\\d{1,3})\\.(.+)");
    private static final Map<String, String> ENDS = Map.of("conv_in", "input_blocks.0.0", "conv_norm_out", "out.0", "conv_out", "out.2",
            "time_embedding.linear_1", "time_embed.0", "time_embedding.linear_2", "time_embed.2");
    private static final Map<String, String> RESNET = OriginalUNetBlocks.RESNET.entrySet().stream()
            .collect(Collectors.toUnmodifiableMap(Map.Entry::getValue, Map.Entry::getKey));

    private final Collection<String> layers;
    /** ResNet blocks in a block on the way down; one more on the way up. */
    private final int perBlock;

    /** @param layers all of the UNet, in canonical names */
    OriginalUNetNames(Collection<String> layers) {
        this.layers = layers;
        int count = 0;
        while (has("down_blocks.0.resnets." + count + ".")) {
            count++;
        }
        this.perBlock = count;
    }

    private boolean has(String prefix) {
        return layers.stream().anyMatch(layer -> layer.startsWith(prefix));
    }

    /** The original name of a layer; what the original code does not have keeps its name. */
    String of(String layer) {
        Matcher middle = MIDDLE.matcher(layer);
        if (middle.matches()) {
            boolean resnet = middle.group(1).equals("resnets");
            int place = resnet ? 2 * Integer.parseInt(middle.group(2)) : 1;
            return "middle_block." + place + "." + inside(resnet, middle.group(3));
        }
        Matcher block = BLOCK.matcher(layer);
        if (!block.matches()) {
            return ENDS.getOrDefault(layer, layer);
        }
        int number = Integer.parseInt(block.group(2));
        int place = Integer.parseInt(block.group(4));
        String kind = block.group(3);
        if (kind.equals("downsamplers")) {
            return "input_blocks." + (number + 1) * (perBlock + 1) + ".0.op";
        }
        if (kind.equals("upsamplers")) {
            return "output_blocks." + (number * (perBlock + 1) + perBlock) + (has("up_blocks." + number + ".attentions.") ? ".2." : ".1.") + block.group(5);
        }
        String list = block.group(1).equals("down") ? "input_blocks." + (1 + number * (perBlock + 1) + place)
                : "output_blocks." + (number * (perBlock + 1) + place);
        boolean resnet = kind.equals("resnets");
        return list + (resnet ? ".0." : ".1.") + inside(resnet, block.group(5));
    }

    private static String inside(boolean resnet, String layer) {
        return resnet ? RESNET.getOrDefault(layer, layer) : layer;
    }
}
