package io.invadapter.weights.model;

import io.invadapter.weights.DType;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * A generated model in diffusers naming: its structure is drawn by chance, its tensors are tiny. Made from the structure by
 * arithmetic on block numbers, independently of the way the loader walks through names.
 *
 * @param attention which down blocks have attention, finest first
 */
record SmallModel(long[] channels, int layers, boolean[] attention, int depth, boolean linear, long textSize, int textLayers,
        long[] vaeChannels, int vaeLayers, long latent) {

    static SmallModel random(Random random) {
        int blocks = 1 + random.nextInt(4);
        long[] channels = new long[blocks];
        boolean[] attention = new boolean[blocks];
        for (int i = 0; i < blocks; i++) {
            channels[i] = 1 + random.nextInt(6);
            attention[i] = random.nextInt(3) > 0;
        }
        long[] vaeChannels = new long[1 + random.nextInt(4)];
        for (int i = 0; i < vaeChannels.length; i++) {
            vaeChannels[i] = 1 + random.nextInt(6);
        }
        return new SmallModel(channels, 1 + random.nextInt(3), attention, 1 + random.nextInt(2), random.nextBoolean(), 1 + random.nextInt(200),
                1 + random.nextInt(12), vaeChannels, 1 + random.nextInt(3), 1 + random.nextInt(5));
    }

    static SmallModel sd15Like() {
        return new SmallModel(new long[] {2, 3, 4, 4}, 2, new boolean[] {true, true, true, false}, 1, false, 64, 2, new long[] {2, 3, 4, 4}, 2, 4);
    }

    int blocks() {
        return channels.length;
    }

    Map<String, long[]> unet() {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        long time = 4 * channels[0];
        conv(shapes, "conv_in", channels[0], latent, 3);
        linear(shapes, "time_embedding.linear_1", time, channels[0]);
        linear(shapes, "time_embedding.linear_2", time, time);
        List<Long> skips = new ArrayList<>(List.of(channels[0]));
        long width = channels[0];
        for (int block = 0; block < blocks(); block++) {
            for (int layer = 0; layer < layers; layer++) {
                resnet(shapes, "down_blocks." + block + ".resnets." + layer + ".", width, channels[block], time);
                width = channels[block];
                if (attention[block]) {
                    transformer(shapes, "down_blocks." + block + ".attentions." + layer + ".", width);
                }
                skips.add(width);
            }
            if (block < blocks() - 1) {
                conv(shapes, "down_blocks." + block + ".downsamplers.0.conv", width, width, 3);
                skips.add(width);
            }
        }
        resnet(shapes, "mid_block.resnets.0.", width, width, time);
        transformer(shapes, "mid_block.attentions.0.", width);
        resnet(shapes, "mid_block.resnets.1.", width, width, time);
        for (int block = 0; block < blocks(); block++) {
            int level = blocks() - 1 - block;
            for (int layer = 0; layer <= layers; layer++) {
                resnet(shapes, "up_blocks." + block + ".resnets." + layer + ".", width + skips.removeLast(), channels[level], time);
                width = channels[level];
                if (attention[level]) {
                    transformer(shapes, "up_blocks." + block + ".attentions." + layer + ".", width);
                }
            }
            if (block < blocks() - 1) {
                conv(shapes, "up_blocks." + block + ".upsamplers.0.conv", width, width, 3);
            }
        }
        norm(shapes, "conv_norm_out", width);
        conv(shapes, "conv_out", latent, width, 3);
        return shapes;
    }

    Map<String, long[]> vae() {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        int levels = vaeChannels.length;
        long last = vaeChannels[levels - 1];
        long width = vaeChannels[0];
        conv(shapes, "encoder.conv_in", width, 3, 3);
        for (int block = 0; block < levels; block++) {
            for (int layer = 0; layer < vaeLayers; layer++) {
                resnet(shapes, "encoder.down_blocks." + block + ".resnets." + layer + ".", width, vaeChannels[block], 0);
                width = vaeChannels[block];
            }
            if (block < levels - 1) {
                conv(shapes, "encoder.down_blocks." + block + ".downsamplers.0.conv", width, width, 3);
            }
        }
        conv(shapes, "decoder.conv_in", last, latent, 3);
        for (String side : List.of("encoder.", "decoder.")) {
            resnet(shapes, side + "mid_block.resnets.0.", last, last, 0);
            norm(shapes, side + "mid_block.attentions.0.group_norm", last);
            for (String layer : List.of("to_q", "to_k", "to_v", "to_out.0")) {
                linear(shapes, side + "mid_block.attentions.0." + layer, last, last);
            }
            resnet(shapes, side + "mid_block.resnets.1.", last, last, 0);
        }
        for (int block = 0; block < levels; block++) {
            long out = vaeChannels[levels - 1 - block];
            for (int layer = 0; layer <= vaeLayers; layer++) {
                resnet(shapes, "decoder.up_blocks." + block + ".resnets." + layer + ".", width, out, 0);
                width = out;
            }
            if (block < levels - 1) {
                conv(shapes, "decoder.up_blocks." + block + ".upsamplers.0.conv", width, width, 3);
            }
        }
        norm(shapes, "encoder.conv_norm_out", last);
        conv(shapes, "encoder.conv_out", 2 * latent, last, 3);
        norm(shapes, "decoder.conv_norm_out", vaeChannels[0]);
        conv(shapes, "decoder.conv_out", 3, vaeChannels[0], 3);
        conv(shapes, "quant_conv", 2 * latent, 2 * latent, 1);
        conv(shapes, "post_quant_conv", latent, latent, 1);
        return shapes;
    }

    Map<String, long[]> textEncoder() {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("embeddings.token_embedding.weight", new long[] {7, textSize});
        shapes.put("embeddings.position_embedding.weight", new long[] {5, textSize});
        for (int layer = 0; layer < textLayers; layer++) {
            String prefix = "encoder.layers." + layer + ".";
            for (String name : List.of("q_proj", "k_proj", "v_proj", "out_proj")) {
                linear(shapes, prefix + "self_attn." + name, textSize, textSize);
            }
            norm(shapes, prefix + "layer_norm1", textSize);
            linear(shapes, prefix + "mlp.fc1", textSize + 1, textSize);
            linear(shapes, prefix + "mlp.fc2", textSize, textSize + 1);
            norm(shapes, prefix + "layer_norm2", textSize);
        }
        norm(shapes, "final_layer_norm", textSize);
        return shapes;
    }

    /** The name of a UNet tensor in a single file, computed from the block numbers. */
    String ldmUNet(String name) {
        String[] p = name.split("\\.");
        return "model.diffusion_model." + switch (p[0]) {
            case "conv_in" -> "input_blocks.0.0." + p[1];
            case "conv_norm_out" -> "out.0." + p[1];
            case "conv_out" -> "out.2." + p[1];
            case "time_embedding" -> "time_embed." + (p[1].equals("linear_1") ? 0 : 2) + "." + p[2];
            case "mid_block" -> p[1].equals("attentions") ? "middle_block.1." + rest(name, 3)
                    : "middle_block." + (p[2].equals("0") ? 0 : 2) + "." + ldmResnet(rest(name, 3));
            case "down_blocks" -> {
                int index = 1 + Integer.parseInt(p[1]) * (layers + 1) + (p[2].equals("downsamplers") ? layers : Integer.parseInt(p[3]));
                yield "input_blocks." + index + switch (p[2]) {
                    case "resnets" -> ".0." + ldmResnet(rest(name, 4));
                    case "attentions" -> ".1." + rest(name, 4);
                    default -> ".0.op." + p[5];
                };
            }
            default -> {
                int block = Integer.parseInt(p[1]);
                int index = block * (layers + 1) + (p[2].equals("upsamplers") ? layers : Integer.parseInt(p[3]));
                yield "output_blocks." + index + switch (p[2]) {
                    case "resnets" -> ".0." + ldmResnet(rest(name, 4));
                    case "attentions" -> ".1." + rest(name, 4);
                    default -> (attention[blocks() - 1 - block] ? ".2.conv." : ".1.conv.") + p[5];
                };
            }
        };
    }

    private static String ldmResnet(String layer) {
        return layer.replace("norm1", "in_layers.0").replace("conv1", "in_layers.2").replace("norm2", "out_layers.0")
                .replace("conv2", "out_layers.3").replace("time_emb_proj", "emb_layers.1").replace("conv_shortcut", "skip_connection");
    }

    /** The name of a VAE tensor in a single file. */
    String ldmVae(String name) {
        String[] p = name.split("\\.");
        String ldm = name;
        if (name.contains("down_blocks")) {
            ldm = "encoder.down." + p[2] + (p[3].equals("resnets") ? ".block." + rest(name, 4) : ".downsample." + rest(name, 5));
        } else if (name.contains("up_blocks")) {
            ldm = "decoder.up." + (vaeChannels.length - 1 - Integer.parseInt(p[2]))
                    + (p[3].equals("resnets") ? ".block." + rest(name, 4) : ".upsample." + rest(name, 5));
        } else if (name.contains("mid_block.resnets")) {
            ldm = p[0] + ".mid.block_" + (1 + Integer.parseInt(p[3])) + "." + rest(name, 4);
        } else if (name.contains("mid_block.attentions")) {
            ldm = p[0] + ".mid.attn_1." + rest(name, 4).replace("group_norm", "norm").replace("to_out.0", "proj_out").replace("to_", "");
        }
        return "first_stage_model." + ldm.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out");
    }

    /** Writes one file, each tensor filled with values that only its canonical name decides. */
    static SafetensorsWriter add(SafetensorsWriter writer, String writtenName, String canonicalName, long... shape) {
        return writer.add(writtenName, DType.F32, shape, values(canonicalName, shape));
    }

    static float[] values(String canonicalName, long[] shape) {
        Random random = new Random(canonicalName.hashCode());
        float[] values = new float[(int) Shapes.elements(shape)];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextFloat();
        }
        return values;
    }

    /** The whole model as a single-file checkpoint. */
    SafetensorsWriter checkpoint(String textPrefix) {
        SafetensorsWriter writer = new SafetensorsWriter();
        unet().forEach((name, shape) -> add(writer, ldmUNet(name), name, shape));
        vae().forEach((name, shape) -> {
            boolean attention = name.contains("attentions") && shape.length == 2;
            add(writer, ldmVae(name), name, attention ? new long[] {shape[0], shape[1], 1, 1} : shape);
        });
        textEncoder().forEach((name, shape) -> add(writer, textPrefix + name, name, shape));
        return writer;
    }

    /** The whole model as a diffusers folder. */
    void writeFolder(Path folder) {
        writeFile(folder.resolve("model_index.json"), "{\"_class_name\": \"StableDiffusionPipeline\"}");
        writeFile(folder.resolve("scheduler/scheduler_config.json"), "{\"beta_start\": 0.00085}");
        writeFile(folder.resolve("tokenizer/vocab.json"), "{}");
        writeFile(folder.resolve("unet/config.json"), "{\"in_channels\": " + latent + "}");
        writeFile(folder.resolve("vae/config.json"), "{\"latent_channels\": " + latent + "}");
        writeFile(folder.resolve("text_encoder/config.json"), "{\"hidden_size\": " + textSize + "}");
        write(unet(), folder.resolve("unet/diffusion_pytorch_model.safetensors"));
        write(vae(), folder.resolve("vae/diffusion_pytorch_model.safetensors"));
        write(textEncoder(), folder.resolve("text_encoder/model.safetensors"));
    }

    static void write(Map<String, long[]> shapes, Path path) {
        SafetensorsWriter writer = new SafetensorsWriter();
        shapes.forEach((name, shape) -> add(writer, name, name, shape));
        writer.write(path);
    }

    static void writeFile(Path path, String text) {
        try {
            Files.createDirectories(path.getParent());
            Files.writeString(path, text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String rest(String name, int parts) {
        return name.split("\\.", parts + 1)[parts];
    }

    private static void conv(Map<String, long[]> shapes, String name, long out, long in, long kernel) {
        shapes.put(name + ".weight", new long[] {out, in, kernel, kernel});
        shapes.put(name + ".bias", new long[] {out});
    }

    private static void linear(Map<String, long[]> shapes, String name, long out, long in) {
        shapes.put(name + ".weight", new long[] {out, in});
        shapes.put(name + ".bias", new long[] {out});
    }

    private static void norm(Map<String, long[]> shapes, String name, long size) {
        shapes.put(name + ".weight", new long[] {size});
        shapes.put(name + ".bias", new long[] {size});
    }

    private static void resnet(Map<String, long[]> shapes, String prefix, long in, long out, long time) {
        norm(shapes, prefix + "norm1", in);
        conv(shapes, prefix + "conv1", out, in, 3);
        if (time > 0) {
            linear(shapes, prefix + "time_emb_proj", out, time);
        }
        norm(shapes, prefix + "norm2", out);
        conv(shapes, prefix + "conv2", out, out, 3);
        if (in != out) {
            conv(shapes, prefix + "conv_shortcut", out, in, 1);
        }
    }

    private void transformer(Map<String, long[]> shapes, String prefix, long width) {
        norm(shapes, prefix + "norm", width);
        for (String projection : List.of("proj_in", "proj_out")) {
            if (linear) {
                linear(shapes, prefix + projection, width, width);
            } else {
                conv(shapes, prefix + projection, width, width, 1);
            }
        }
        for (int i = 0; i < depth; i++) {
            String block = prefix + "transformer_blocks." + i + ".";
            for (int n = 1; n <= 3; n++) {
                norm(shapes, block + "norm" + n, width);
            }
            for (String attention : List.of("attn1", "attn2")) {
                long context = attention.equals("attn1") ? width : textSize;
                shapes.put(block + attention + ".to_q.weight", new long[] {width, width});
                shapes.put(block + attention + ".to_k.weight", new long[] {width, context});
                shapes.put(block + attention + ".to_v.weight", new long[] {width, context});
                linear(shapes, block + attention + ".to_out.0", width, width);
            }
            linear(shapes, block + "ff.net.0.proj", 8 * width, width);
            linear(shapes, block + "ff.net.2", width, 4 * width);
        }
    }
}
