package io.invadapter.engine.adapter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.RelativeError;
import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityFeatures;
import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.adapter.eaa.People;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.pipeline.Pictures;
import io.invadapter.engine.pipeline.WatchedDevice;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.engine.sampling.Step;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever steers pictures does so beside others that do, in the order in which they are given. */
class InfluenceTest {
    private static final int FACE_SIZE = 16;
    private static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };
    private static final RecordingDevice DEVICE = new RecordingDevice();
    private static final StableDiffusion MODEL = Pictures.model(BundledModel.directory(), DEVICE);
    private static final EmbeddedAttentionAdapter ADAPTER = Pictures.adapter(MODEL);
    /** Of {@link Twice}. */
    private static final List<String> CALLS = new ArrayList<>();
    private static final float[] CAPTION = text("a portrait of a person");

    /** Counts recordings that are open, and refuses some. */
    private static final class RecordingDevice extends WatchedDevice {
        private int made;
        private int open;
        /** Recordings until one is refused; negative: never. */
        private int left = -1;
        private boolean together;

        @Override
        public boolean prefersLargeBatches() {
            return together;
        }

        @Override
        public Recording record(Runnable work) {
            if (left == 0) {
                throw new OutOfDeviceMemoryException("no memory for a recording, says the test");
            }
            left = Math.max(-1, left - 1);
            Recording recording = super.record(work);
            made++;
            open++;
            return new Recording() {
                @Override
                public void run() {
                    recording.run();
                }

                @Override
                public void close() {
                    open--;
                    recording.close();
                }
            };
        }
    }

    @AfterAll
    static void close() {
        DEVICE.close();
    }

    @AfterEach
    void restore() {
        DEVICE.together = false;
        DEVICE.left = -1;
        CALLS.clear();
    }

    private static float[] text(String text) {
        return MODEL.textEncoder().encode(MODEL.tokenizer().encode(text).ids());
    }

    private static Latents noise(int seed, int size) {
        return SeededNoise.latents(seed, 4, size, size);
    }

    private static double difference(Latents a, Latents b) {
        return RelativeError.of(b.values(), a.values());
    }

    /** Pictures of another size than the faces', or of theirs. */
    private static Sampling pictures(Walk walk, int size) {
        return new Sampling(Latents.stack(List.of(noise(1, size), noise(2, size))),
                List.of(new Diffusion.Guidance(text("a happy person"), text("hat"), 4),
                        new Diffusion.Guidance(text("a serious person"), text(""), 1)), walk);
    }

    private static Sampling face(Diffusion diffusion, int seed, Walk walk) {
        return diffusion.beside(noise(seed, FACE_SIZE), List.of(CAPTION), walk, QUIET);
    }

    private static IdentityInfluence identity(Sampling face, double... scales) {
        return new IdentityInfluence(ADAPTER, new People.Inverted(face, null), new int[2], scales, IdentityLayers.BOTH, IdentityRows.PROMPT);
    }

    // --- two at once ------------------------------------------------------------------------------------------------

    /** Lets each cross attention look at its own text once more, turned round, as much as the request says. */
    private record Twice(float scale) implements Influence {
        /** As all of these do. */
        private record AnyScale() implements Influence.Shape {
            @Override
            public int ownRows() {
                return 0;
            }

            @Override
            public int guestRows() {
                return 0;
            }

            @Override
            public InfluencePlan plan(Influence.Place place) {
                Tensor scales = place.own(place.device().allocate(DataType.FLOAT32, place.batchRows()));
                return new InfluencePlan() {
                    @Override
                    public AttentionHook hook(int part, int first, int rows) {
                        return (site, input, into) -> {
                            assertEquals(rows, input.batch());
                            if (site.isCross()) {
                                CALLS.add("hook " + into.size());
                                into.add(turned(into.getFirst(), scales.rows(first, rows)));
                            }
                        };
                    }

                    @Override
                    public void start(Influence influence) {
                        CALLS.add("start");
                        float[] all = new float[place.batchRows()];
                        int guests = all.length - place.pictures().rows().size();
                        for (int i = guests; i < all.length; i++) {
                            all[i] = ((Twice) influence).scale;
                        }
                        place.device().write(scales, all);
                    }

                    @Override
                    public void before(int step) {
                        CALLS.add("before " + step);
                    }

                    @Override
                    public void after(int step) {
                        CALLS.add("after " + step);
                    }
                };
            }

            private static Source turned(Source text, Tensor scales) {
                return new Source(text.values(), text.keys(), null, scales);
            }
        }

        @Override
        public Influence.Shape shape(Layout pictures) {
            return new AnyScale();
        }
    }

    /** Two people of one adapter in every picture, and {@link Twice} after them, as they are defined: pass by pass, on the host. */
    private static Latents expected(Walk walk, Latents start, Diffusion.Guidance guidance, List<Latents> faces, double[] lambdas,
            float twice) {
        List<Latents> own = new ArrayList<>(faces);
        Latents x = start;
        for (Step step : walk.steps()) {
            try (Scope scope = DEVICE.scope()) {
                List<AttentionHook> hooks = new ArrayList<>();
                for (int i = 0; i < own.size(); i++) {
                    IdentityFeatures features = ADAPTER.features(1, FACE_SIZE, FACE_SIZE);
                    Latents predicted = MODEL.unet().predictNoise(own.get(i), step.timestep(), null, new float[][] {CAPTION},
                            ADAPTER.record(features, 0));
                    own.set(i, moved(step, own.get(i), predicted, 1, predicted));
                    Tensor lambda = DEVICE.upload(DataType.FLOAT32, new float[] {(float) lambdas[i]}, 1);
                    hooks.add(ADAPTER.inject(features, DEVICE.upload(new int[1]), lambda, IdentityLayers.BOTH));
                }
                AttentionHook last = (site, input, into) -> {
                    if (site.isCross()) {
                        into.add(Twice.AnyScale.turned(into.getFirst(), DEVICE.upload(DataType.FLOAT32, new float[] {twice}, 1)));
                    }
                };
                Latents negative = MODEL.unet().predictNoise(x, step.timestep(), null, new float[][] {guidance.negative()}, last);
                hooks.add(last);
                Latents prompt = MODEL.unet().predictNoise(x, step.timestep(), null, new float[][] {guidance.prompt()},
                        (site, input, into) -> hooks.forEach(hook -> hook.attend(site, input, into)));
                x = moved(step, x, negative, guidance.scale(), prompt);
            }
        }
        return x;
    }

    private static Latents moved(Step step, Latents x, Latents negative, double scale, Latents prompt) {
        float[] next = new float[x.values().length];
        for (int i = 0; i < next.length; i++) {
            double predicted = negative.values()[i] + scale * (prompt.values()[i] - negative.values()[i]);
            next[i] = (float) (step.move()[0][0] * x.values()[i] + step.move()[0][1] * predicted);
        }
        return new Latents(next, 1, 4, x.height(), x.width());
    }

    /** Faces that go before the pictures by themselves, together, and in the pictures' batch. */
    @ParameterizedTest
    @CsvSource({"false, 8", "true, 8", "true, 16"})
    void severalAtOnceDoWhatEachIsDefinedToDo(boolean together, int size) {
        DEVICE.together = together;
        try (Diffusion diffusion = MODEL.diffusion()) {
            Walk walk = diffusion.ddim(3);
            Sampling pictures = pictures(walk, size);
            Sampling[] faces = {face(diffusion, 8, walk), face(diffusion, 9, walk)};
            Latents found = diffusion.generate(pictures.withInfluences(identity(faces[0], 0.5, 0), identity(faces[1], 0.25, 0.75),
                    new Twice(0.5f)), QUIET);
            double[][] lambdas = {{0.5, 0.25}, {0, 0.75}};
            for (int i = 0; i < 2; i++) {
                Latents alone = expected(walk, pictures.start().row(i), pictures.guidance().get(i), List.of(faces[0].start(), faces[1].start()),
                        lambdas[i], 0.5f);
                double error = difference(alone, found.row(i));
                assertTrue(error < 1e-4, "picture " + i + ": " + error);
                assertTrue(difference(diffusion.generate(pictures.withInfluences(identity(faces[0], 0.5, 0), identity(faces[1], 0.25, 0.75)),
                        QUIET).row(i), found.row(i)) > 1e-3, "the last of them does something");
            }
        }
    }

    /** Attention adds up over sources. */
    @ParameterizedTest
    @CsvSource({"false, 8", "true, 8", "true, 16"})
    void aPersonInTwoShares(boolean together, int size) {
        DEVICE.together = together;
        try (Diffusion diffusion = MODEL.diffusion()) {
            Walk walk = diffusion.ddim(3);
            Sampling pictures = pictures(walk, size);
            Sampling face = face(diffusion, 9, walk);
            IdentityInfluence first = identity(face, 0.5, 0.25).askForFaces();
            IdentityInfluence second = identity(face, 0.25, 0.5);
            Latents shares = diffusion.generate(pictures.withInfluences(first, second), QUIET);
            assertNull(second.faces(), "not asked for");
            IdentityInfluence whole = identity(face, 0.75, 0.75).askForFaces();
            assertTrue(difference(diffusion.generate(pictures.withInfluences(whole), QUIET), shares) < 1e-4);
            assertTrue(difference(whole.faces(), first.faces()) < 1e-4);
            assertTrue(difference(diffusion.generate(pictures.withInfluences(first), QUIET), shares) > 1e-3);
        }
    }

    @ParameterizedTest
    @CsvSource({"false, 8", "true, 8", "true, 16"})
    void twoPeopleInOneGoWhereEachWouldByItself(boolean together, int size) {
        DEVICE.together = together;
        try (Diffusion diffusion = MODEL.diffusion()) {
            Walk walk = diffusion.ddim(3);
            Sampling pictures = pictures(walk, size);
            Latents noises = Latents.stack(List.of(noise(8, FACE_SIZE), noise(9, FACE_SIZE)));
            Sampling both = diffusion.beside(noises, List.of(CAPTION, CAPTION), walk, QUIET);
            Latents inOne = diffusion.generate(pictures.withInfluences(new IdentityInfluence(ADAPTER, new People.Inverted(both, null),
                    new int[] {1, 0}, new double[] {1, 0.5}, IdentityLayers.BOTH, IdentityRows.PROMPT)), QUIET);
            Latents apart = diffusion.generate(pictures.withInfluences(identity(face(diffusion, 9, walk), 1, 0),
                    identity(face(diffusion, 8, walk), 0, 0.5)), QUIET);
            assertTrue(difference(apart, inOne) < 1e-4);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void eachHasItsTurnInTheOrderGiven(boolean together) {
        DEVICE.together = together;
        try (Diffusion diffusion = MODEL.diffusion()) {
            Walk walk = diffusion.ddim(2);
            IdentityInfluence identity = identity(face(diffusion, 9, walk), 1, 1);
            int crosses = (int) MODEL.unet().attentionLayers().keySet().stream().filter(site -> site.isCross()).count();
            for (boolean last : new boolean[] {false, true}) {
                Twice twice = new Twice(1);
                Sampling pictures = pictures(walk, 8);
                diffusion.generate(last ? pictures.withInfluences(identity, twice) : pictures.withInfluences(twice, identity), QUIET);
                List<String> told = CALLS.stream().filter(call -> !call.startsWith("hook")).toList();
                assertEquals(List.of("start", "before 0", "after 0", "before 1", "after 1"), told);
                CALLS.removeIf(call -> !call.startsWith("hook"));
                // Two steps, of the two parts that they have where not everything goes through the network at once.
                assertEquals((together ? 2 : 4) * crosses, CALLS.size());
                assertTrue(CALLS.stream().allMatch(("hook " + (last ? 2 : 1))::equals), CALLS::toString);
                CALLS.clear();
            }
        }
    }

    // --- plans ------------------------------------------------------------------------------------------------------

    @Test
    void onePlanServesAllValuesOfAShape() {
        try (Diffusion diffusion = MODEL.diffusion()) {
            Walk walk = diffusion.ddim(1);
            Sampling[] faces = {face(diffusion, 8, walk), face(diffusion, 9, walk)};
            Sampling once = pictures(walk, 8).withInfluences(identity(faces[0], 1, 1), new Twice(1));
            Latents first = diffusion.generate(once, QUIET);
            int made = DEVICE.made;
            Latents other = diffusion.generate(pictures(walk, 8).withInfluences(identity(faces[1], 0.5, 1), new Twice(0.5f)), QUIET);
            assertEquals(made, DEVICE.made);
            assertTrue(difference(first, other) > 1e-3);
            assertEquals(0, difference(first, diffusion.generate(once, QUIET)));
            // Nobody in the second picture: it goes by itself without the adapter.
            diffusion.generate(pictures(walk, 8).withInfluences(identity(faces[0], 1, 0), new Twice(1)), QUIET);
            assertEquals(made + 3, DEVICE.made);
        }
        assertEquals(0, DEVICE.open);
    }

    @Test
    void whatIsKeptIsForPicturesOfTheSameShape() {
        DEVICE.together = true;
        try (Diffusion diffusion = MODEL.diffusion()) {
            Walk walk = diffusion.ddim(1);
            Sampling plain = pictures(walk, 8);
            Sampling person = plain.withInfluences(identity(face(diffusion, 9, walk), 1, 1));
            assertFalse(diffusion.keeps(plain));
            diffusion.generate(plain, QUIET);
            assertTrue(diffusion.keeps(pictures(diffusion.ddim(2), 8)));
            assertFalse(diffusion.keeps(pictures(walk, 16)));
            assertFalse(diffusion.keeps(person));
            List<Diffusion.Guidance> longer = plain.guidance().stream().map(own -> new Diffusion.Guidance(twice(own.prompt()),
                    twice(own.negative()), own.scale())).toList();
            assertFalse(diffusion.keeps(new Sampling(plain.start(), longer, walk)));
            diffusion.generate(person, QUIET);
            assertTrue(diffusion.keeps(person));
            assertTrue(diffusion.keeps(plain.withInfluences(identity(face(diffusion, 8, walk), 0.5, 1))));
            diffusion.trim();
            assertFalse(diffusion.keeps(plain));
        }
    }

    private static float[] twice(float[] text) {
        float[] both = Arrays.copyOf(text, 2 * text.length);
        System.arraycopy(text, 0, both, text.length, text.length);
        return both;
    }

    @Test
    void aPlanThatCannotBeMadeLeavesNothing() {
        try (Diffusion diffusion = MODEL.diffusion()) {
            Walk walk = diffusion.ddim(1);
            Sampling faces = face(diffusion, 9, walk);
            long kept = DEVICE.keptBytes();
            for (int left = 0; left < 3; left++) {
                DEVICE.left = left;
                assertThrows(OutOfDeviceMemoryException.class,
                        () -> diffusion.generate(pictures(walk, 8).withInfluences(identity(faces, 1, 1)), QUIET));
                assertEquals(0, DEVICE.open);
                assertEquals(kept, DEVICE.keptBytes());
            }
            DEVICE.left = 3;
            diffusion.generate(pictures(walk, 8).withInfluences(identity(faces, 1, 1)), QUIET);
            assertEquals(3, DEVICE.open);
        }
        assertEquals(0, DEVICE.open);
    }

    @Test
    void nothingIsToldOfAStepThatNobodyWaitsFor() {
        try (Diffusion diffusion = MODEL.diffusion()) {
            assertThrows(CancellationException.class, () -> diffusion.generate(pictures(diffusion.ddim(2), 8).withInfluences(new Twice(1)),
                    new Diffusion.StepListener() {
                        private int done;

                        @Override
                        public void step(int step, int steps, Supplier<Latents> latents) {
                            done = step;
                        }

                        @Override
                        public boolean wants(int picture) {
                            return done == 0;
                        }
                    }));
        }
        assertEquals(List.of("start", "before 0", "after 0", "before 1"), CALLS.stream().filter(call -> !call.startsWith("hook")).toList());
    }
}
