package io.invadapter.gpucheck.first;

import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.Precision;
import io.invadapter.timing.MeasuringDevice;
import io.invadapter.timing.SyntheticModel;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Steps of the UNet with guidance, one picture: every operator called, then replayed from a graph. */
final class Step {
    private static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };
    /** Of an item that makes all weights, or plans and runs all shapes for the first time: in parts of the usual limit. */
    private static final double LONG = 4;

    private final Contact contact;
    private MeasuringDevice measuring;
    private StableDiffusion model;
    private float[] called;

    private Step(Contact contact) {
        this.contact = contact;
    }

    static void run(Contact contact) {
        Step step = new Step(contact);
        double limit = LONG * contact.sizes().limit();
        contact.item("weights", limit, step::weights);
        contact.item("called", limit, step::called);
        contact.item("operators", limit, step::operators);
        contact.item("replayed", limit, step::replayed);
        contact.item("time of a replayed step", limit, step::time);
    }

    private Outcome weights() {
        model();
        return Outcome.of(true, contact.device(Precision.FP16).description(), null);
    }

    private StableDiffusion model() {
        if (model == null) {
            measuring = new MeasuringDevice(contact.device(Precision.FP16));
            measuring.measure(false);
            model = SyntheticModel.load(contact.sizes().structure(), contact.sizes().picture(), measuring).model();
        }
        return model;
    }

    /** With plans of its own, so that the steps are recorded anew, or called. */
    private Latents steps(int count) {
        try (Diffusion diffusion = model().diffusion()) {
            return steps(diffusion, count);
        }
    }

    private Latents steps(Diffusion diffusion, int count) {
        StableDiffusion m = model();
        int size = contact.sizes().picture() / m.vae().factor();
        float[] prompt = new float[contact.sizes().structure().textEncoder().maxTokens()
                * contact.sizes().structure().unet().contextChannels()];
        float[] negative = new float[prompt.length];
        for (int i = 0; i < prompt.length; i++) {
            prompt[i] = OnDevice.known(3, i);
            negative[i] = OnDevice.known(4, i);
        }
        return diffusion.generate(new Sampling(SeededNoise.latents(1, m.vae().latentChannels(), size, size),
                List.of(new Diffusion.Guidance(prompt, negative, 7.5)), diffusion.ddim(count)), QUIET);
    }

    /** While it measures, nothing is recorded. */
    private Latents measured(int count) {
        model();
        measuring.measure(true);
        try {
            return steps(count);
        } finally {
            measuring.measure(false);
        }
    }

    private Outcome called() {
        called = measured(contact.sizes().fewSteps()).values();
        measuring.reset();
        return finite(called) ? Outcome.of(true, contact.sizes().fewSteps() + " steps", null) : Outcome.failed("not all of it are numbers");
    }

    private static boolean finite(float[] values) {
        for (float value : values) {
            if (!Float.isFinite(value)) {
                return false;
            }
        }
        return true;
    }

    /** Called one by one, so that small ones show the host's time too; see the replayed step for the sum. */
    private Outcome operators() {
        measured(1);
        measuring.reset();
        measured(1);
        Map<String, Object> data = new LinkedHashMap<>();
        double[] sum = {0};
        int[] calls = {0};
        measuring.totals().forEach((name, total) -> {
            data.put(name, Map.of("calls", total.calls(), "ms", total.seconds() * 1e3, "operations", total.operations(), "bytes",
                    total.bytes()));
            sum[0] += total.seconds() * 1e3;
            calls[0] += total.calls();
        });
        measuring.reset();
        return Outcome.of(true, String.format(Locale.ROOT, "%d calls, %.2f ms together", calls[0], sum[0]), data);
    }

    private Outcome replayed() {
        if (called == null) {
            called = measured(contact.sizes().fewSteps()).values();
            measuring.reset();
        }
        int before = contact.graphNodes().size();
        float[] found = steps(contact.sizes().fewSteps()).values();
        List<Integer> nodes = List.copyOf(contact.graphNodes().subList(before, contact.graphNodes().size()));
        boolean same = Arrays.equals(called, found);
        return Outcome.of(same && !nodes.isEmpty(), (nodes.isEmpty() ? "no graph was recorded" : nodes + " nodes") + ", "
                + (same ? "the same bits as called" : "other bits than called"), Map.of("nodes", nodes));
    }

    /** Of requests that replay what an earlier one recorded; what a request takes beside its steps is the same for few and for many. */
    private Outcome time() {
        int few = contact.sizes().fewSteps();
        int many = contact.sizes().manySteps();
        try (Diffusion diffusion = model().diffusion()) {
            steps(diffusion, many);
            double milliseconds = (seconds(diffusion, many) - seconds(diffusion, few)) * 1e3 / (many - few);
            return Outcome.of(true, String.format(Locale.ROOT, "%.2f ms", milliseconds), Map.of("ms", milliseconds));
        }
    }

    /** The least of several requests. */
    private double seconds(Diffusion diffusion, int count) {
        double least = Double.POSITIVE_INFINITY;
        for (int i = 0; i < contact.sizes().timing().samples(); i++) {
            long start = System.nanoTime();
            steps(diffusion, count);
            least = Math.min(least, (System.nanoTime() - start) / 1e9);
        }
        return least;
    }
}
