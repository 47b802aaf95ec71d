package io.invadapter.engine.pipeline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/** What the tests with the bundled model have in common. */
public final class Pictures {
    public static final int STEPS = 3;
    public static final List<BufferedImage> FACES = BundledModel.faces();
    public static final IdentityBudget PLENTY = new IdentityBudget(1L << 30, 0, 0, null);

    /** Bytes of an identity's keys and values at one step, in float32. */
    public static final long STEP_BYTES = stepBytes();

    private Pictures() {
    }

    /** The networks of the bundled model, or of one like it. */
    public static StableDiffusion model(Path folder, Device device) {
        try (ModelFiles files = ModelFiles.open(folder)) {
            return StableDiffusion.load(files, device, notice -> { });
        }
    }

    /** The adapter of the bundled model, or of one like it. */
    public static EmbeddedAttentionAdapter adapter(StableDiffusion model) {
        try (WeightSource source = Safetensors.open(BundledModel.adapter())) {
            return EmbeddedAttentionAdapter.load(source, model.unet(), model.device());
        }
    }

    private static long stepBytes() {
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            EmbeddedAttentionAdapter adapter = adapter(model(BundledModel.directory(), device));
            return 4L * adapter.featureElements(adapter.identityLatentSize(), adapter.identityLatentSize());
        }
    }

    public static Pipeline.Builder builder(IdentityBudget budget) {
        return Pipeline.builder().model(BundledModel.directory()).adapter(BundledModel.adapter()).device("cpu")
                .precision(Precision.FP32).identityBudget(budget);
    }

    public static Pipeline open(IdentityBudget budget) {
        return builder(budget).open();
    }

    public static Pipeline open(IdentityBudget budget, WatchedDevice device) {
        return builder(budget).open(() -> device);
    }

    /** The bundled model's files, to be changed; {@code folder} is there. */
    public static void copyOfTheModel(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(BundledModel.directory())) {
            for (Path file : files.toList()) {
                Path copy = folder.resolve(BundledModel.directory().relativize(file).toString());
                if (Files.isDirectory(file)) {
                    Files.createDirectories(copy);
                } else {
                    Files.copy(file, copy);
                }
            }
        }
    }

    /** A copy of the bundled model that takes the guidance itself, as latent consistency models do; {@code folder} is there. */
    static void modelThatTakesTheGuidance(Path folder) throws IOException {
        copyOfTheModel(folder);
        Path config = folder.resolve("unet/config.json");
        Files.writeString(config, Json.read(config).with("time_cond_proj_dim", 8).toString());
        Path weights = folder.resolve("unet/diffusion_pytorch_model.safetensors");
        Files.delete(weights);
        SafetensorsWriter writer = new SafetensorsWriter();
        try (WeightSource bundled = Safetensors.open(BundledModel.directory().resolve("unet").resolve(weights.getFileName()))) {
            bundled.names().forEach(name -> writer.add(name, bundled.tensor(name).shape(), bundled.tensor(name).toFloats()));
            float[] projection = new float[8 * (int) bundled.tensor("time_embedding.linear_1.weight").shape()[1]];
            for (int i = 0; i < projection.length; i++) {
                projection[i] = (float) Math.sin(i) / 4;
            }
            writer.add("time_embedding.cond_proj.weight", new long[] {projection.length / 8, 8}, projection);
        }
        writer.write(weights);
    }

    /** Writes a LoRA of rank 2 for those layers of a network whose weights' names match. */
    public static Path lora(Path folder, String name, String prefix, WeightSource weights, String layers, int seed) {
        Random random = new Random(seed);
        SafetensorsWriter writer = new SafetensorsWriter();
        weights.names().stream().filter(tensor -> tensor.matches(layers)).forEach(tensor -> {
            long[] shape = weights.tensor(tensor).shape();
            String layer = prefix + tensor.replaceAll("\\.weight$", "").replace('.', '_');
            writer.add(layer + ".lora_down.weight", new long[] {2, shape[1]}, randoms(random, 2 * shape[1]));
            writer.add(layer + ".lora_up.weight", new long[] {shape[0], 2}, randoms(random, 2 * shape[0]));
        });
        Path file = folder.resolve(name + ".safetensors");
        writer.write(file);
        return file;
    }

    private static float[] randoms(Random random, long count) {
        float[] values = new float[(int) count];
        for (int i = 0; i < count; i++) {
            values[i] = 0.2f * (float) random.nextGaussian();
        }
        return values;
    }

    /** A small request, smaller than the face's own picture; {@code face} may be {@code null}. */
    public static GenerationRequest.Builder request(BufferedImage face, String prompt, long seed) {
        return GenerationRequest.builder().face(face).prompt(prompt).seed(seed).steps(STEPS).guidanceScale(3.5).identityScale(1)
                .size(64, 64);
    }

    public static float[] latents(Pipeline pipeline, GenerationRequest.Builder request) {
        return pipeline.generate(request.build()).latents().getFirst().values();
    }

    /** What a request goes through: {@code inverting}, {@code generating}, {@code decoding}. */
    public static Set<String> phases(Pipeline pipeline, GenerationRequest.Builder request) {
        Set<String> phases = new TreeSet<>();
        pipeline.generate(request.listener((phase, step, steps) -> phases.add(phase)).build());
        return phases;
    }

    public static void assertSame(GenerationResult expected, GenerationResult found) {
        assertEquals(expected.latents().size(), found.latents().size());
        for (int i = 0; i < expected.latents().size(); i++) {
            assertArrayEquals(expected.latents().get(i).values(), found.latents().get(i).values());
        }
    }

    /** Equal within the rounding of another order of sums. */
    public static void assertClose(GenerationResult expected, GenerationResult found) {
        assertEquals(expected.latents().size(), found.latents().size());
        for (int i = 0; i < expected.latents().size(); i++) {
            double error = difference(expected.latents().get(i).values(), found.latents().get(i).values());
            assertTrue(error < 1e-4, "picture " + i + " differs by " + error);
        }
    }

    /** ||a - b|| / ||a|| */
    public static double difference(float[] a, float[] b) {
        assertEquals(a.length, b.length);
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < a.length; i++) {
            difference += Math.pow((double) a[i] - b[i], 2);
            norm += (double) a[i] * a[i];
        }
        assertTrue(norm > 0 && Double.isFinite(difference));
        return Math.sqrt(difference / norm);
    }
}
