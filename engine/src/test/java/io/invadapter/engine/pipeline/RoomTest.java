package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.assertClose;
import static io.invadapter.engine.pipeline.Pictures.assertSame;
import static io.invadapter.engine.pipeline.Pictures.builder;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.making.Batch;
import io.invadapter.engine.making.Order;
import io.invadapter.engine.making.Workshop;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.engine.sampling.Samplers;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Parts of a model make room for each other where the memory does not suffice for all of it. */
@Timeout(600)
class RoomTest {
    /** The weights of all but the adapter, of the UNet, and of the UNet with the adapter. */
    private static final long MODEL = 96_900_000;
    private static final long UNET = 59_111_440;
    private static final long STEPS = 62_800_000;

    @TempDir
    private Path folder;
    private final TightDevice device = new TightDevice();
    private final List<String> notices = new ArrayList<>();

    /** Nothing stays behind, wherever the parts were. */
    @AfterEach
    void allIsFreed() {
        assertEquals(0, device.weights());
        assertEquals(0, device.tensors());
    }

    private static GenerationRequest.Builder request(BufferedImage face) {
        return Pictures.request(face, "a happy person", 1).size(96, 96).steps(2);
    }

    private Pipeline.Builder parts() {
        return builder(IdentityBudget.NONE).notices(notices::add);
    }

    private static void assertSamePictures(GenerationResult expected, GenerationResult found) {
        assertSame(expected, found);
        for (int i = 0; i < expected.images().size(); i++) {
            assertEquals(List.of(), differences(expected.images().get(i), found.images().get(i)));
        }
    }

    private static List<String> differences(BufferedImage expected, BufferedImage found) {
        List<String> differences = new ArrayList<>();
        for (int y = 0; y < expected.getHeight(); y++) {
            for (int x = 0; x < expected.getWidth(); x++) {
                if (expected.getRGB(x, y) != found.getRGB(x, y)) {
                    differences.add(x + "," + y);
                }
            }
        }
        return differences;
    }

    /** Twice with all the memory, then with what a request took at most but for part of the text encoder and the VAE. */
    private void sameWithoutRoom(Pipeline pipeline, GenerationRequest request) {
        GenerationResult expected = pipeline.generate(request);
        device.have(TightDevice.PLENTY);
        pipeline.generate(request);
        assertEquals(0, device.freed(), "nothing leaves where there is room");
        long most = device.most();
        for (long less : new long[] {10_000_000, 35_000_000}) {
            for (boolean tells : new boolean[] {true, false}) {
                device.have(most - less);
                device.tells = tells;
                assertSamePictures(expected, pipeline.generate(request));
                assertTrue(device.freed() > 0 || less < 20_000_000);
                assertTrue(device.most() <= most - less);
            }
        }
        assertEquals(1, notices.stream().filter(notice -> notice.startsWith("cpu: there is no memory for all of the model")).count(), notices::toString);
        device.have(TightDevice.PLENTY);
        device.tells = true;
        assertSamePictures(expected, pipeline.generate(request));
        assertEquals(0, device.freed());
        assertTrue(device.weights() > MODEL, "all is there again");
    }

    @Test
    void aPictureThatDidNotFitIsMade() {
        try (Pipeline pipeline = parts().open(() -> device)) {
            sameWithoutRoom(pipeline, request(null).build());
        }
    }

    @Test
    void aModelThatDoesNotFitAsAWholeIsOpened() {
        GenerationRequest request = request(FACES.getFirst()).build();
        GenerationResult expected;
        try (Pipeline pipeline = Pictures.open(IdentityBudget.NONE)) {
            expected = pipeline.generate(request);
        }
        device.have(STEPS + 10_000_000);
        try (Pipeline pipeline = parts().open(() -> device)) {
            String told = "cpu: there is no memory for all of the model at once, so each of its parts is loaded again for each request; "
                    + "a lower precision is faster";
            assertEquals(List.of(told), notices);
            assertSamePictures(expected, pipeline.generate(request));
            assertEquals(List.of(told), notices, "a smaller picture would not help");
            device.have(TightDevice.PLENTY);
            pipeline.generate(request);
            device.have(device.most() - 10_000_000);
            pipeline.generate(request);
            assertEquals(2, notices.size());
            assertTrue(notices.getLast().startsWith("cpu: there is no memory for all of the model beside what is asked for"), notices::toString);
        }
    }

    @Test
    void whatTheBuilderIsToldLaterIsAnotherPipelines() {
        Pipeline.Builder builder = parts();
        try (Pipeline pipeline = builder.open(() -> device)) {
            Path other = folder.resolve("other");
            builder.model(other).adapter(other).embeddings(other).lora(other, 1);
            GenerationRequest request = request(FACES.getFirst()).build();
            GenerationResult expected = pipeline.generate(request);
            device.have(STEPS + 10_000_000);
            assertSamePictures(expected, pipeline.generate(request));
            assertTrue(device.freed() > 0);
        }
    }

    @Test
    void ofAPersonIntoAPicture() {
        try (Pipeline pipeline = parts().open(() -> device)) {
            sameWithoutRoom(pipeline, request(FACES.getFirst()).init(FACES.get(1)).strength(0.7).count(2).build());
        }
    }

    @Test
    void withLorasAndTextualInversions() {
        Path placeholder = folder.resolve("amber.safetensors");
        List<LoraUse> loras;
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            int channels = (int) files.textEncoder().tensor("final_layer_norm.weight").shape()[0];
            new SafetensorsWriter().add("emb_params", new long[] {1, channels}, numbers(channels)).write(placeholder);
            loras = List.of(LoraUse.of(lora("style", "lora_unet_", files.unet(), ".*attn[12]\\.to_v\\.weight"), 1),
                    LoraUse.of(lora("words", "lora_te_text_model_", files.textEncoder(), ".*self_attn\\.v_proj\\.weight"), 1));
        }
        try (Pipeline pipeline = parts().lora(loras.getFirst().file(), 0.5).embeddings(placeholder).open(() -> device)) {
            GenerationRequest plain = request(null).prompt("amber").build();
            GenerationResult expected = pipeline.generate(plain);
            sameWithoutRoom(pipeline, request(null).prompt("amber").loras(loras).build());

            // Swapped while parts are away, and back.
            device.have(MODEL - 30_000_000);
            assertSamePictures(expected, pipeline.generate(plain));
            assertTrue(device.freed() > 0);
            pipeline.generate(request(null).prompt("amber").loras(loras).build());
            assertSamePictures(expected, pipeline.generate(plain));
        }
    }

    private Path lora(String name, String prefix, WeightSource weights, String layers) {
        SafetensorsWriter writer = new SafetensorsWriter();
        weights.names().stream().filter(tensor -> tensor.matches(layers)).forEach(tensor -> {
            long[] shape = weights.tensor(tensor).shape();
            String key = prefix + tensor.replaceAll("\\.weight$", "").replace('.', '_');
            writer.add(key + ".lora_down.weight", new long[] {1, shape[1]}, numbers((int) shape[1]))
                    .add(key + ".lora_up.weight", new long[] {shape[0], 1}, numbers((int) shape[0]));
        });
        Path file = folder.resolve(name + ".safetensors");
        writer.write(file);
        return file;
    }

    private static float[] numbers(int count) {
        float[] numbers = new float[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = (float) Math.sin(i) / 2;
        }
        return numbers;
    }

    private static final String NOT_KEPT = "cpu: there is no memory to keep a face in beside the picture, so it is computed anew for the next";

    /** With as little memory as the picture of a person can be made in, nothing is kept for the next. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aFaceIsNotKeptWhereOnlyThePictureFits(boolean tells) {
        GenerationRequest request = request(FACES.getFirst()).build();
        long least = STEPS + 4_000_000;
        GenerationResult expected = null;
        TightDevice other = new TightDevice();
        try (Pipeline pipeline = parts().open(() -> other)) {
            while (expected == null) {
                least += 500_000;
                other.have(least);
                try {
                    expected = pipeline.generate(request);
                } catch (OutOfDeviceMemoryException e) {
                    // More, then.
                }
            }
        }
        notices.clear();
        try (Pipeline pipeline = builder(Pictures.PLENTY).notices(notices::add).open(() -> device)) {
            device.tells = tells;
            for (long more : new long[] {0, Pictures.STEP_BYTES, Pictures.STEP_BYTES}) {
                device.have(least + more);
                assertSamePictures(expected, pipeline.generate(request));
            }
        }
        assertTrue(notices.contains(NOT_KEPT), notices::toString);
    }

    /** What is kept of a face goes before pictures that have been begun together are made apart. */
    @Test
    void aFaceIsNotKeptBesideABatchThatFillsTheMemory() {
        device.prefersLargeBatches = true;
        GenerationRequest request = request(FACES.getFirst()).count(8).build();
        TightDevice other = new TightDevice();
        other.prefersLargeBatches = true;
        GenerationResult expected;
        long most;
        try (Pipeline pipeline = parts().picturesPerBatch(8).open(() -> other)) {
            other.have(TightDevice.PLENTY);
            expected = pipeline.generate(request);
            most = other.most();
        }
        try (Pipeline pipeline = builder(Pictures.PLENTY).picturesPerBatch(8).notices(notices::add).open(() -> device)) {
            device.have(most + Pictures.STEP_BYTES / 2);
            assertSamePictures(expected, pipeline.generate(request));
            assertEquals(0, device.freed());
        }
        assertEquals(List.of(NOT_KEPT), notices);
    }

    @Test
    void aFaceIsInvertedWithoutRoomForAll() {
        try (Pipeline pipeline = parts().open(() -> device)) {
            float[] expected = pipeline.invert(FACES.getFirst(), "a person", 2, ProgressListener.NONE).noise().values();
            device.have(MODEL - 30_000_000);
            for (int i = 0; i < 2; i++) {
                float[] found = pipeline.invert(FACES.getFirst(), "a person", 2, ProgressListener.NONE).noise().values();
                assertEquals(0, Pictures.difference(expected, found));
            }
            assertTrue(device.freed() > 0);
        }
    }

    @Test
    void aPreviewCanBeHadWithoutRoomForAll() {
        try (Pipeline pipeline = parts().open(() -> device)) {
            List<BufferedImage> previews = new ArrayList<>();
            ProgressListener listener = new ProgressListener() {
                @Override
                public void onStep(String phase, int step, int steps) {
                    throw new AssertionError("the other is called");
                }

                @Override
                public void onStep(String phase, int step, int steps, Supplier<List<BufferedImage>> preview) {
                    previews.addAll(preview.get());
                }
            };
            device.have(MODEL - 30_000_000);
            pipeline.generate(request(null).listener(listener).build());
            device.have(TightDevice.PLENTY);
            pipeline.generate(request(null).listener(listener).build());
            assertEquals(4, previews.size());
            assertEquals(List.of(), differences(previews.get(0), previews.get(2)));
        }
    }

    /** A preview is less than the picture: there is none where there is no memory for it. */
    @Test
    void noPictureFailsForItsPreview() {
        try (Pipeline pipeline = parts().open(() -> device)) {
            GenerationResult expected = pipeline.generate(request(null).build());
            List<Integer> shown = new ArrayList<>();
            GenerationResult found = pipeline.generate(request(null).listener(new ProgressListener() {
                @Override
                public void onStep(String phase, int step, int steps) {
                    throw new AssertionError("the other is called");
                }

                @Override
                public void onStep(String phase, int step, int steps, Supplier<List<BufferedImage>> preview) {
                    if (phase.equals("generating")) {
                        device.have(step == 1 ? 0 : TightDevice.PLENTY);
                        shown.add(preview.get().size());
                        device.have(TightDevice.PLENTY);
                    }
                }
            }).build());
            assertSamePictures(expected, found);
            assertEquals(List.of(0, 1), shown);
        }
    }

    // --- files ------------------------------------------------------------------------------------------------------

    private Path copy() throws IOException {
        Path model = folder.resolve("model");
        try (Stream<Path> files = Files.walk(BundledModel.directory())) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(BundledModel.directory().relativize(file).toString()));
            }
        }
        return model;
    }

    @Test
    void filesThatAreGoneOrOthersAreSaidToBe() throws IOException {
        Path model = copy();
        Path vae = model.resolve("vae/diffusion_pytorch_model.safetensors");
        try (Pipeline pipeline = Pipeline.builder().model(model).device("cpu").notices(notices::add).open(() -> device)) {
            GenerationResult expected = pipeline.generate(request(null).build());
            device.have(STEPS + 15_000_000);
            FileTime written = Files.getLastModifiedTime(vae);
            Files.setLastModifiedTime(vae, FileTime.fromMillis(written.toMillis() + 5000));
            String rest = " since it was opened, and is read again to change LoRAs or because memory is short: open the model anew";
            assertEquals(vae + " has changed" + rest, assertThrows(WeightException.class, () -> pipeline.generate(request(null).build())).getMessage());
            Files.move(vae, folder.resolve("elsewhere"));
            assertEquals(vae + " is gone" + rest, assertThrows(WeightException.class, () -> pipeline.generate(request(null).build())).getMessage());
            Files.move(folder.resolve("elsewhere"), vae);
            Files.setLastModifiedTime(vae, written);
            assertSamePictures(expected, pipeline.generate(request(null).build()));
        }
    }

    // --- estimates --------------------------------------------------------------------------------------------------

    @Test
    void onlyWhatCannotFitBesideThePartsInUseIsRefused() {
        try (Pipeline pipeline = parts().open(() -> device)) {
            GenerationRequest request = request(null).build();
            device.have(STEPS + 4_000_000);
            pipeline.generate(request);
            device.have(STEPS - 3_000_000);
            String message = assertThrows(OutOfDeviceMemoryException.class, () -> pipeline.generate(request)).getMessage();
            assertTrue(message.matches("out of memory: a picture of 96x96 needs more than \\d MiB, and cpu has 0 MiB left"), message);
            assertEquals(0, device.freed(), "nothing is made room for what cannot be");
            // A step with guidance takes two rows of the UNet at once.
            device.have(UNET + 4_500_000);
            GenerationRequest guided = request(null).size(192, 192).steps(1).build();
            assertThrows(OutOfDeviceMemoryException.class, () -> pipeline.generate(guided));
            assertEquals(0, device.freed());
            pipeline.generate(request(null).size(192, 192).steps(1).guidanceScale(1).build());
        }
    }

    /** A network that takes the guidance itself has one row for a picture. */
    @Test
    void onlyRowsThatThereAreAreCounted() throws IOException {
        Path model = Files.createDirectories(folder.resolve("consistent"));
        Pictures.modelThatTakesTheGuidance(model);
        try (Pipeline pipeline = parts().model(model).open(() -> device)) {
            device.have(UNET + 4_500_000);
            pipeline.generate(request(null).size(192, 192).steps(1).sampler("LCM").guidanceScale(4).build());
            assertTrue(device.freed() > 0);
        }
    }

    @Test
    void aBatchIsAsLargeAsTheMemory() {
        device.prefersLargeBatches = true;
        GenerationRequest.Builder request = request(null).count(6);
        GenerationResult expected;
        try (Pipeline pipeline = Pictures.open(IdentityBudget.NONE)) {
            expected = pipeline.generate(request.build());
        }
        try (Pipeline pipeline = parts().open(() -> device)) {
            device.have(TightDevice.PLENTY);
            pipeline.generate(request(null).count(3).build());
            device.have(device.most() + 500_000);
            for (int i = 0; i < 2; i++) {
                assertClose(expected, pipeline.generate(request.build()));
            }
            assertEquals(List.of("cpu: there is no memory for 6 pictures of 96x96 at once, so 3 at a time are made"), notices);
            assertEquals(0, device.freed());
        }
    }

    /** What is kept for a batch of people is for the next of the same, from wherever their keys and values come. */
    @Test
    void aBatchThatIsKeptNeedsNoMoreMemory() {
        WatchedDevice watched = new WatchedDevice();
        watched.prefersLargeBatches = true;
        GenerationRequest.Builder request = request(FACES.getFirst()).count(16);
        try (Workshop workshop = new Opening(builder(Pictures.PLENTY).picturesPerBatch(16).notices(notices::add)).open(() -> watched)) {
            make(workshop, request);
            make(workshop, request);
            watched.reachableMemory = workshop.model().vae().leastBytes(96, 96);
            make(workshop, request);
            assertEquals(List.of(), notices);
            make(workshop, request.prompt("a person, " + "very ".repeat(90) + "happy"));
            assertEquals(1, notices.stream().filter(notice -> notice.contains("no memory for 16 pictures of 96x96")).count(), notices::toString);
        }
    }

    private static void make(Workshop workshop, GenerationRequest.Builder builder) {
        GenerationRequest request = builder.build();
        Order order = new Order(request, Batch.Kind.of(request, Samplers.named("ddim")));
        Batch.run(workshop, List.of(order), false);
        assertEquals(16, order.result().images().size());
    }

    // --- order ------------------------------------------------------------------------------------------------------

    @Test
    void forWhatNobodyWantsNothingIsLoaded() {
        try (Workshop workshop = new Opening(parts()).open(() -> device)) {
            GenerationRequest request = request(null).loras(List.of(LoraUse.of(folder.resolve("no.safetensors"), 1))).build();
            Order order = new Order(request, Batch.Kind.of(request, Samplers.named("ddim")));
            order.cancel();
            Batch.run(workshop, List.of(order), false);
            assertThrows(CancellationException.class, order::result);
            Order wanted = new Order(request, Batch.Kind.of(request, Samplers.named("ddim")));
            Batch.run(workshop, List.of(wanted), false);
            assertThrows(WeightException.class, wanted::result);
            assertEquals(0, device.freed());
        }
    }
}
