package io.invadapter.verification;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.unet.GuidanceEmbedding;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.awt.image.BufferedImage;
import java.util.Arrays;
import java.util.stream.Stream;

/** One example of each case. */
final class Examples {
    /** Of the bundled model's texts. */
    private static final int CHANNELS = 128;

    private Examples() {
    }

    static Stream<Example> all() {
        return Stream.of(lora(), textualInversion(), lcm(), samplers(), stableDiffusion2(), pictureToPicture());
    }

    static Example lora() {
        String layer = "mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
        String text = "lora_te_text_model_encoder_layers_0_mlp_fc1";
        return new Example("lora", """
                {"t": 601, "runs": [{"name": "both", "loras": [{"file": "kohya.safetensors", "scale": 0.7}]}],
                 "same_update": [["kohya.safetensors", "peft.safetensors"]]}""")
                .file("kohya.safetensors", new SafetensorsWriter()
                        .add("lora_unet_" + layer + ".lora_down.weight", new long[] {2, 192}, Example.random("down", 2, 192))
                        .add("lora_unet_" + layer + ".lora_up.weight", new long[] {192, 2}, Example.random("up", 192, 2))
                        .add(text + ".lora_down.weight", new long[] {1, CHANNELS}, Example.random("text down", 1, CHANNELS))
                        .add(text + ".lora_up.weight", new long[] {512, 1}, Example.random("text up", 512, 1)))
                .file("peft.safetensors", new SafetensorsWriter()
                        .add("unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", new long[] {2, 192}, Example.random("down", 2, 192))
                        .add("unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_B.weight", new long[] {192, 2}, Example.random("up", 192, 2))
                        .add("text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight", new long[] {1, CHANNELS}, Example.random("text down", 1, CHANNELS))
                        .add("text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_B.weight", new long[] {512, 1}, Example.random("text up", 512, 1)))
                .input("in.x", 2, 4, 8, 16).input("in.context", 2, 77, CHANNELS).input("in.ids", new long[] {2, 77}, ids(2))
                .result("text.both", 2, 77, CHANNELS).result("eps.both", 2, 4, 8, 16).result("eps_text.both", 2, 4, 8, 16);
    }

    static Example textualInversion() {
        return new Example("textual-inversion", """
                {"embeddings": [{"file": "a.safetensors", "placeholder": "<sks>"}], "prompts": ["a <sks>", "no placeholder"]}""")
                .file("a.safetensors", new SafetensorsWriter().add("<sks>", new long[] {2, CHANNELS}, Example.random("vectors", 2, CHANNELS)))
                .result("ids.0", new long[] {1, 77}, framed(320, 49408, 49409)).result("text.0", 1, 77, CHANNELS)
                .result("ids.1", new long[] {1, 77}, framed(871, 14884, 7862)).result("text.1", 1, 77, CHANNELS);
    }

    static Example lcm() {
        return new Example("lcm", """
                {"unet": "unet", "scheduler": "scheduler", "guidance": 8.0, "t": 601, "guidances": [8.0, 1.5], "steps": [2], "strength": 0.5, "img2img_steps": 2}""")
                .unet("unet", config -> config.with("time_cond_proj_dim", 32), "time_embedding.cond_proj.weight", 64, 32)
                .file("scheduler/scheduler_config.json", """
                        {"_class_name": "LCMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
                         "original_inference_steps": 50, "set_alpha_to_one": true, "clip_sample": false, "num_train_timesteps": 1000}""")
                .input("in.context", 1, 77, CHANNELS).input("in.x", 1, 4, 8, 16).input("in.noise", 1, 4, 8, 16).input("in.noises.2", 1, 4, 8, 16)
                .input("in.img2img_z0", 1, 4, 8, 16).input("in.img2img_noises", 1, 4, 8, 16)
                .result("guidance_embedding.8.0", GuidanceEmbedding.of(8, 32), 1, 32).result("eps.8.0", 1, 4, 8, 16).result("guidance_embedding.1.5", GuidanceEmbedding.of(1.5, 32), 1, 32).result("eps.1.5", 1, 4, 8, 16)
                .result("timesteps.2", new long[] {2}, 999, 499)
                .result("loop.2", 1, 4, 8, 16).result("loop.latents.2", 2, 4, 8, 16).result("loop.eps.2", 2, 4, 8, 16)
                .result("timesteps.img2img", new long[] {2}, 499, 259)
                .result("loop.img2img", 1, 4, 8, 16).result("loop.latents.img2img", 2, 4, 8, 16).result("loop.eps.img2img", 2, 4, 8, 16);
    }

    static Example samplers() {
        String config = """
                {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "timestep_spacing": "leading", "steps_offset": 1}""";
        return new Example("samplers", """
                {"model": "tanh(x * (0.8 + 0.3 cos(t / 250)) + 0.2 sin(t / 97))", "runs": [
                 {"key": "heun/2", "class": "HeunDiscreteScheduler", "steps": 2, "strength": null, "eta": null, "config": CONFIG},
                 {"key": "ddim/4", "class": "DDIMScheduler", "steps": 4, "strength": 0.5, "eta": 1.0, "config": CONFIG}]}""".replace("CONFIG", config))
                .input("in.x", 1, 4, 2, 3).input("in.x0", 1, 4, 2, 3).input("in.noises", 2, 4, 2, 3)
                .result("heun/2.timesteps", 3).result("heun/2.sigmas", 4).result("heun/2.samples", 4, 4, 2, 3)
                .result("ddim/4.timesteps", 2).result("ddim/4.samples", 3, 4, 2, 3);
    }

    static Example stableDiffusion2() {
        return new Example("sd2", """
                {"eaa": "ADAPTER", "pad_token_id": 0, "prompt": "a castle", "negative": "", "caption": "a face",
                 "ts": [481], "steps": 2, "zero_snr_steps": 2, "guidance": 6.0, "eaa_scale": 0.7}""".replace("ADAPTER", BundledModel.adapter().toString()))
                .file("scheduler/scheduler_config.json", """
                        {"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": false,
                         "set_alpha_to_one": false, "steps_offset": 1, "prediction_type": "v_prediction"}""")
                .input("in.x.481", 2, 4, 8, 16).input("in.noise", 1, 4, 16, 8).input("in.latent", 1, 4, 8, 8).input("in.id_z0", 1, 4, 16, 16)
                .result("ids", new long[] {3, 77}, padded(new long[0], new long[] {320, 3540}, new long[] {320, 1710})).result("text", 3, 77, CHANNELS)
                .result("v.481", 2, 4, 8, 16).result("eps.481", 2, 4, 8, 16)
                .result("vae.decoded", 1, 3, 64, 64).result("vae.mean", 1, 4, 8, 8)
                .result("zero_snr.alphas_cumprod", 1000).result("zero_snr.timesteps", new long[] {2}, 999, 499)
                .result("loop.ddim", 1, 4, 16, 8).result("loop.zero_snr", 1, 4, 16, 8)
                .result("loop.invert", 1, 4, 16, 16).result("loop.customize", 1, 4, 16, 8).result("loop.identity", 1, 4, 16, 16);
    }

    static Example pictureToPicture() {
        BufferedImage picture = new BufferedImage(128, 64, BufferedImage.TYPE_INT_RGB);
        BufferedImage mask = new BufferedImage(128, 64, BufferedImage.TYPE_BYTE_GRAY);
        for (int y = 0; y < 64; y++) {
            for (int x = 0; x < 128; x++) {
                picture.setRGB(x, y, 2 * x << 16 | 3 * y << 8 | x + y);
                mask.getRaster().setSample(x, y, 0, x > 40 && y > 9 ? 255 : 20);
            }
        }
        return new Example("img2img-inpaint", """
                {"inpainting_unet": "unet", "picture": "picture.png", "mask": "mask.png", "t": 601, "steps": 2, "guidance": 5.0, "strengths": [0.5]}""")
                .unet("unet", config -> config.with("in_channels", 9), "conv_in.weight", 64, 9, 3, 3)
                .file("picture.png", picture).file("mask.png", mask)
                .input("in.context", 2, 77, CHANNELS).input("in.noise", 1, 4, 8, 16)
                .result("image", 1, 3, 64, 128).result("mask", 1, 1, 64, 128).result("masked_image", 1, 3, 64, 128)
                .result("latent_mask", 1, 1, 8, 16).result("z0", 1, 4, 8, 16).result("masked_z0", 1, 4, 8, 16)
                .result("eps.4", 2, 4, 8, 16).result("eps.9", 2, 4, 8, 16)
                .result("loop.img2img.0.5", 1, 4, 8, 16).result("loop.inpaint4.0.5", 1, 4, 8, 16).result("loop.inpaint9.0.5", 1, 4, 8, 16);
    }

    /** Rows of start, tokens, one end and zeros. */
    private static long[] padded(long[]... rows) {
        long[] ids = new long[77 * rows.length];
        for (int i = 0; i < rows.length; i++) {
            ids[77 * i] = 49406;
            System.arraycopy(rows[i], 0, ids, 77 * i + 1, rows[i].length);
            ids[77 * i + 1 + rows[i].length] = 49407;
        }
        return ids;
    }

    /** Start, tokens, end and padding. */
    private static long[] framed(long... tokens) {
        long[] ids = new long[77];
        Arrays.fill(ids, 49407);
        ids[0] = 49406;
        System.arraycopy(tokens, 0, ids, 1, tokens.length);
        return ids;
    }

    private static long[] ids(int rows) {
        return Stream.generate(() -> framed(320, 1125)).limit(rows).flatMapToLong(Arrays::stream).toArray();
    }
}
