package io.invadapter.gpucheck;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.adapter.eaa.People;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.KernelCases;
import io.invadapter.kernels.cuda.driver.JCudaDriverApi;
import io.invadapter.timing.BenchReport;
import io.invadapter.timing.GenerationBench;
import io.invadapter.timing.MeasuringDevice;
import io.invadapter.timing.Structure;
import io.invadapter.verification.Verification;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.Safetensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What the steps do, each in a process of its own. */
final class Checks {
    private static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };
    private static final int STEPS = 8;
    /** Of the benchmarks: on a chip that needs 5 s for 16 pictures all of them take two minutes. */
    private static final GenerationBench.Options BENCHMARKS = new GenerationBench.Options(50, List.of(1, 4, 16), 512, 5, 20);

    private Checks() {
    }

    /** Every kernel case of a type against its float64 reference. */
    static Outcome kernels(Precision precision) {
        List<Object> failures = new ArrayList<>();
        int[] count = {0};
        KernelCases.run(JCudaDriverApi.open(0), precision.type(), outcome -> {
            count[0]++;
            if (outcome.failure() != null) {
                System.err.println(outcome.name() + ": " + outcome.failure());
                failures.add(outcome.name() + ": " + outcome.failure().getMessage());
            }
        });
        return Outcome.of(failures.isEmpty(), failures.isEmpty() ? count[0] + " cases"
                : failures.size() + " of " + count[0] + " cases failed, first: " + failures.getFirst(), failures);
    }

    /** A folder of golden data. */
    static Outcome golden(String device, Precision precision, Path folder) {
        try (Device opened = Devices.open(device, precision, System.err::println)) {
            Verification verification = Verification.run(folder, opened, EnumSet.allOf(Verification.Part.class));
            Map<String, Object> errors = new LinkedHashMap<>();
            Verification.Row worst = null;
            List<String> failures = new ArrayList<>(verification.differentTokens());
            for (Verification.Row row : verification.rows()) {
                errors.put(row.key(), row.error());
                if (!row.passed()) {
                    failures.add(String.format(Locale.ROOT, "%s %.1e (limit %.0e)", row.key(), row.error(), row.limit()));
                }
                // What has no limit is reported, not judged.
                if (row.limit() < Double.POSITIVE_INFINITY && (worst == null || row.error() > worst.error())) {
                    worst = row;
                }
            }
            verification.skipped().forEach(key -> failures.add(key + " was not computed"));
            failures.forEach(System.err::println);
            String largest = worst == null ? "" : String.format(Locale.ROOT, ", largest error %.1e (%s)", worst.error(), worst.key());
            return Outcome.of(verification.passed(), failures.isEmpty() ? errors.size() + " keys" + largest
                    : failures.size() + " of " + errors.size() + " keys failed, first: " + failures.getFirst(), errors);
        }
    }

    /** A small model and what its requests need. */
    private record Subject(StableDiffusion model, EmbeddedAttentionAdapter adapter, Diffusion.Guidance guidance, float[] caption) {
        static Subject load(Path folder, Device device) {
            StableDiffusion model;
            try (ModelFiles files = ModelFiles.open(folder)) {
                model = StableDiffusion.load(files, device, System.err::println);
            }
            EmbeddedAttentionAdapter adapter;
            try (WeightSource source = Safetensors.open(folder.resolve("eaa.safetensors"))) {
                adapter = EmbeddedAttentionAdapter.load(source, model.unet(), device);
            }
            return new Subject(model, adapter, new Diffusion.Guidance(text(model, "a portrait of a happy person wearing a red hoodie"),
                    text(model, ""), 3.5), text(model, "a portrait of a person"));
        }

        private static float[] text(StableDiffusion model, String text) {
            return model.textEncoder().encode(model.tokenizer().encode(text).ids());
        }

        private Latents noise(long seed) {
            int size = adapter.identityLatentSize();
            return SeededNoise.latents(seed, model.vae().latentChannels(), size, size);
        }

        /** On its way beside the picture. */
        private Sampling face(Diffusion diffusion) {
            return diffusion.beside(noise(2), List.of(caption), diffusion.ddim(STEPS), QUIET);
        }

        /** @param people {@code null} for nobody */
        private Latents generate(Diffusion diffusion, People people) {
            Sampling plain = new Sampling(noise(1), List.of(guidance), diffusion.ddim(STEPS));
            return diffusion.generate(people == null ? plain : plain.withInfluences(new IdentityInfluence(adapter, people, new int[] {0},
                    new double[] {0.6}, IdentityLayers.BOTH, IdentityRows.PROMPT)), QUIET);
        }
    }

    /** Steps replayed from a recording give the bits that the same steps give when every operator is called. */
    static Outcome graphs(String device, Precision precision, Path folder) {
        try (Device opened = Devices.open(device, precision, System.err::println)) {
            Subject subject = Subject.load(folder, opened);
            StableDiffusion m = subject.model;
            // While it measures, nothing is recorded.
            StableDiffusion called = new StableDiffusion(new MeasuringDevice(opened), m.tokenizer(), m.textEncoder(), m.unet(),
                    m.vae(), m.schedule(), m.sampler());
            try (Diffusion recording = m.diffusion(); Diffusion calling = called.diffusion()) {
                People people = new People.Inverted(subject.face(recording), null);
                boolean plain = Arrays.equals(subject.generate(recording, null).values(), subject.generate(calling, null).values());
                boolean identity = Arrays.equals(subject.generate(recording, people).values(),
                        subject.generate(calling, people).values());
                return Outcome.of(plain && identity, plain && identity ? "the same bits" : "different results: "
                        + (plain ? "" : "plain ") + (identity ? "" : "with identity"), null);
            }
        }
    }

    /** An identity whose keys and values are kept gives the picture that its own rows gave, up to rounding. */
    static Outcome identity(String device, Precision precision, Path folder) {
        try (Device opened = Devices.open(device, precision, System.err::println)) {
            Subject subject = Subject.load(folder, opened);
            List<Tensor> kept = new ArrayList<>();
            try (Diffusion diffusion = subject.model.diffusion()) {
                Latents computed = subject.generate(diffusion, new People.Inverted(subject.face(diffusion),
                        (step, features) -> {
                            kept.add(opened.keep(opened.allocate(precision.type(), features.elements())));
                            features.copyTo(kept.get(step), 0);
                        }));
                Latents stored = subject.generate(diffusion, new People.Stored(1,
                        (step, features) -> features.copyFrom(kept.get(step), 0)));
                double plain = distance(subject.generate(diffusion, null), computed);
                double error = distance(stored, computed);
                double limit = switch (precision) {
                    case FP32 -> 1e-3;
                    case FP16 -> 2e-2;
                    case BF16 -> 1e-1;
                };
                return Outcome.of(error <= limit && plain > 10 * error,
                        String.format(Locale.ROOT, "relative difference %.1e (limit %.0e; without the identity %.1e)", error, limit, plain),
                        null);
            }
        }
    }

    private static double distance(Latents found, Latents expected) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < expected.values().length; i++) {
            difference += Math.pow(found.values()[i] - expected.values()[i], 2);
            norm += Math.pow(expected.values()[i], 2);
        }
        return Math.sqrt(difference / norm);
    }

    /** The benchmarks; their table is the detail. */
    static Outcome bench(Precision precision) {
        try (Device device = Devices.open("cuda", precision, System.err::println);
                GenerationBench bench = new GenerationBench(device, Structure.STABLE_DIFFUSION_15, BENCHMARKS, System.err::println)) {
            BenchReport report = bench.run();
            Map<String, Object> data = new LinkedHashMap<>(report.json());
            data.put("table", report.table());
            return Outcome.of(true, report.cases().size() + " requests, table below", data);
        }
    }
}
