package io.invadapter.verification;

import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.util.Arrays;
import java.util.stream.Stream;

/** One example of each case. */
final class Examples {
    /** Of the bundled model's texts. */
    private static final int CHANNELS = 128;

    private Examples() {
    }

    static Stream<Example> all() {
        return Stream.of(lora(), textualInversion(), lcm());
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
                .result("guidance_embedding.8.0", 1, 32).result("eps.8.0", 1, 4, 8, 16).result("guidance_embedding.1.5", 1, 32).result("eps.1.5", 1, 4, 8, 16)
                .result("timesteps.2", new long[] {2}, 999, 499)
                .result("loop.2", 1, 4, 8, 16).result("loop.latents.2", 2, 4, 8, 16).result("loop.eps.2", 2, 4, 8, 16)
                .result("timesteps.img2img", new long[] {2}, 499, 259)
                .result("loop.img2img", 1, 4, 8, 16).result("loop.latents.img2img", 2, 4, 8, 16).result("loop.eps.img2img", 2, 4, 8, 16);
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
