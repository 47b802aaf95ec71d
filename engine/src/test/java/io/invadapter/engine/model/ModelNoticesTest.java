package io.invadapter.engine.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is in the files of a model without a meaning is told of when they are opened, and changes nothing. */
class ModelNoticesTest {

    @TempDir
    Path folder;

    @Test
    void weightsOfNoLayerAreCountedAndOneIsNamed() throws IOException {
        Path model = copyOfTheModel();
        Path text = model.resolve("text_encoder/model.safetensors");
        Path adapter = folder.resolve("eaa.safetensors");
        rewrite(text, text, "strange.weight");
        rewrite(BundledModel.adapter(), adapter, "down.lora.weight", "up.lora.weight");
        List<String> notices = new ArrayList<>();
        open(model, adapter, notices).close();
        assertEquals(List.of(text + ": the tensor 'strange.weight' belongs to no layer and is left out",
                adapter + ": 2 tensors belong to no layer and are left out, such as 'down.lora.weight'"), notices);
    }

    @Test
    void keysThatAreNotKnownAreNamed() throws IOException {
        Path model = copyOfTheModel();
        Path config = model.resolve("unet/config.json");
        Files.writeString(config, "\uFEFF" + Files.readString(config).replaceFirst("\\{", "{\"fancy\": NaN, "));
        List<String> notices = new ArrayList<>();
        open(model, BundledModel.adapter(), notices).close();
        assertEquals(List.of(config + ": fancy is NaN, which this engine does not know: the pictures may not be what was meant"), notices);
    }

    @Test
    void aFileWithoutAnyAdapterWeightIsRefused() {
        Path other = folder.resolve("other.safetensors");
        new SafetensorsWriter().add("a.weight", new long[] {1, 1, 1}, new float[1]).write(other);
        String message = assertThrows(WeightException.class, () -> open(BundledModel.directory(), other, new ArrayList<>())).getMessage();
        assertTrue(message.startsWith(other + " is a file of one tensor, 'a.weight', not an Inv-Adapter, which has names like 'down_blocks.0."), message);
    }

    @Test
    void whileItIsLoadedEachTensorIsCountedOnce() throws IOException {
        Path model = copyOfTheModel();
        Path text = model.resolve("text_encoder/model.safetensors");
        rewrite(text, text, "strange.weight");
        int tensors;
        try (ModelFiles files = ModelFiles.open(model)) {
            tensors = files.textEncoder().names().size() + files.unet().names().size() + files.vae().names().size();
        }
        List<Integer> told = new ArrayList<>();
        Pipeline.builder().model(model).device("cpu").notices(notice -> { }).loading((phase, tensor, all) -> {
            assertEquals("loading of " + tensors, phase + " of " + all);
            told.add(tensor);
        }).open().close();
        assertEquals(IntStream.rangeClosed(1, tensors).boxed().toList(), told);
    }

    @Test
    void aListenerOfTheLoadingThatFailsEndsIt() {
        IllegalArgumentException failure = new IllegalArgumentException("seen enough");
        assertSame(failure, assertThrows(IllegalArgumentException.class, () -> Pipeline.builder().model(BundledModel.directory()).device("cpu")
                .loading((phase, tensor, tensors) -> {
                    throw failure;
                }).open()));
    }

    @Test
    void textsHaveTheTokenizersLength() throws IOException {
        Path model = copyOfTheModel();
        Path config = model.resolve("tokenizer/tokenizer_config.json");
        Files.writeString(config, Files.readString(config).replaceFirst("\"model_max_length\": *77", "\"model_max_length\": 20"));
        try (Pipeline pipeline = open(model, BundledModel.adapter(), new ArrayList<>())) {
            GenerationResult result = pipeline.generate(GenerationRequest.builder().prompt("a portrait ".repeat(10)).promptSyntax(false).steps(1)
                    .seed(1).build());
            assertEquals(List.of("the prompt is longer than 20 tokens; 10 characters were cut from its end: a portrait"), result.warnings());
        }
    }

    private static Pipeline open(Path model, Path adapter, List<String> notices) {
        return Pipeline.builder().model(model).adapter(adapter).device("cpu").precision(Precision.FP32).notices(notices::add).open();
    }

    private Path copyOfTheModel() throws IOException {
        Path source = BundledModel.directory();
        Path copy = folder.resolve("model");
        try (Stream<Path> files = Files.walk(source)) {
            for (Path file : files.toList()) {
                Files.copy(file, copy.resolve(source.relativize(file).toString()));
            }
        }
        return copy;
    }

    /** The same file with more tensors. */
    private static void rewrite(Path from, Path to, String... more) throws IOException {
        SafetensorsWriter writer = new SafetensorsWriter();
        try (WeightSource source = Safetensors.open(from)) {
            source.metadata().forEach(writer::metadata);
            for (String name : source.names()) {
                WeightTensor tensor = source.tensor(name);
                writer.add(name, tensor.dtype(), tensor.shape(), tensor.toFloats());
            }
        }
        for (String name : more) {
            writer.add(name, new long[] {1}, new float[1]);
        }
        writer.write(to);
    }
}
