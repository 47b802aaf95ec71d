package io.invadapter.verification;

import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.Loras;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.nn.Room;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.text.ClipTokenizer;
import io.invadapter.kernels.Device;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.Safetensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A folder of golden data: case.json, golden.safetensors and the files that the first names. Whatever is not there or has another
 * form than is asked for is a {@link WeightException} that names it.
 */
final class CaseFolder implements AutoCloseable {
    private static final List<String> PARTS = List.of("unet", "vae", "text_encoder", "tokenizer", "scheduler");

    private final Path path;
    private final Device device;
    private final JsonValue parameters;
    private final CaseFolder inputs;
    private final WeightSource golden;

    /** @throws io.invadapter.base.InvalidRequestException when case.json names a case that is not known */
    CaseFolder(Path path, Device device) {
        this.path = path;
        this.device = device;
        this.parameters = Json.read(path.resolve("case.json"));
        // Before any of its files: those of other cases are named otherwise.
        Cases.requireKnown(parameters);
        Optional<JsonValue> same = parameters.find("same_as");
        if (same.isPresent()) {
            Path other = file(same.get());
            if (Json.read(other.resolve("case.json")).find("same_as").isPresent()) {
                throw new WeightException(same.get().where() + " names a folder that has no results of its own either");
            }
            this.inputs = new CaseFolder(other, device);
            this.golden = inputs.golden;
        } else {
            this.inputs = this;
            this.golden = Safetensors.open(path.resolve("golden.safetensors"));
        }
    }

    Path path() {
        return path;
    }

    Device device() {
        return device;
    }

    /** case.json. */
    JsonValue parameters() {
        return parameters;
    }

    /** The folder with the inputs and results: this one, or that which {@code same_as} names. */
    CaseFolder inputs() {
        return inputs;
    }

    /** golden.safetensors of {@link #inputs}. */
    WeightSource golden() {
        return golden;
    }

    /** The file or folder that a value of case.json names, relative to this folder. */
    Path file(JsonValue name) {
        Path file = path.resolve(name.asString()).normalize();
        if (!Files.exists(file)) {
            throw new WeightException(name.where() + " is " + name + ", but " + file + " does not exist");
        }
        return file;
    }

    /** A step of the noise that a value of case.json says. */
    int timestep(JsonValue value, NoiseSchedule schedule) {
        if (value.asInt() < 0 || value.asInt() >= schedule.maxSteps()) {
            throw new WeightException(value.where() + " is " + value + " where a timestep from 0 to " + (schedule.maxSteps() - 1) + " is expected");
        }
        return value.asInt();
    }

    /** How far a prompt and its negative text are apart: 1 or more, below which there is no guidance. */
    double guidance() {
        JsonValue value = parameters.get("guidance");
        if (!(value.asDouble() >= 1)) {
            throw new WeightException(value.where() + " is " + value + " where 1 or more is expected");
        }
        return value.asDouble();
    }

    // --- golden data ------------------------------------------------------------------------------------------------

    /** All values of a golden key, in its own order; none of them may be infinite or not a number. */
    float[] values(String key) {
        float[] values = golden.tensor(key).toFloats();
        for (float value : values) {
            if (!Float.isFinite(value)) {
                throw new WeightException(golden.description() + ": '" + key + "' holds values that are not finite");
            }
        }
        return values;
    }

    /** The values of a golden key that has as many as the model gives. */
    float[] values(String key, int count) {
        WeightTensor tensor = golden.tensor(key);
        if (tensor.elements() != count) {
            throw new WeightException(golden.description() + ": '" + key + "' of shape " + Shapes.text(tensor.shape()) + " has " + tensor.elements()
                    + " values where this model gives " + count);
        }
        return values(key);
    }

    /** The values of a golden key of this shape. */
    float[] values(String key, long[] shape) {
        long[] found = golden.tensor(key).shape();
        if (!Arrays.equals(found, shape)) {
            throw wrongShape(key, found, Shapes.text(shape));
        }
        return values(key);
    }

    /** Whole numbers. */
    int[] integers(String key) {
        return Arrays.stream(golden.tensor(key).toLongs()).mapToInt(value -> whole(key, value, Integer.MAX_VALUE)).toArray();
    }

    /** {@code [rows, length]}: the tokens of each row. */
    int[][] tokens(String key, ClipTokenizer tokenizer) {
        String expected = "[rows, " + tokenizer.maxLength() + "]";
        long[] shape = shape(key, 2, expected);
        if (shape[1] != tokenizer.maxLength()) {
            throw wrongShape(key, shape, expected);
        }
        int[] all = Arrays.stream(golden.tensor(key).toLongs()).mapToInt(value -> whole(key, value, tokenizer.vocabularySize() - 1)).toArray();
        int[][] rows = new int[(int) shape[0]][];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = Arrays.copyOfRange(all, i * tokenizer.maxLength(), (i + 1) * tokenizer.maxLength());
        }
        return rows;
    }

    private int whole(String key, long value, int largest) {
        if (value < 0 || value > largest) {
            throw new WeightException(golden.description() + ": '" + key + "' holds " + value + " where 0 to " + largest + " is expected");
        }
        return (int) value;
    }

    /** {@code [rows, channels, height, width]} */
    Latents latents(String key, int channels) {
        long[] shape = shape(key, 4, "[rows, " + channels + ", height, width]");
        if (shape[1] != channels) {
            throw wrongShape(key, shape, "[rows, " + channels + ", height, width]");
        }
        return new Latents(values(key), (int) shape[0], channels, (int) shape[2], (int) shape[3]);
    }

    /** The same with any number of channels. */
    Latents latents(String key) {
        return latents(key, (int) shape(key, 4, "[rows, channels, height, width]")[1]);
    }

    /** {@code [rows, tokens, channels]}: the text of each row. */
    float[][] contexts(String key) {
        long[] shape = shape(key, 3, "[rows, tokens, channels]");
        float[] all = values(key);
        int size = Math.toIntExact(shape[1] * shape[2]);
        float[][] rows = new float[(int) shape[0]][];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = Arrays.copyOfRange(all, i * size, (i + 1) * size);
        }
        return rows;
    }

    private long[] shape(String key, int dimensions, String expected) {
        long[] shape = golden.tensor(key).shape();
        if (shape.length != dimensions || Arrays.stream(shape).anyMatch(side -> side < 1)) {
            throw wrongShape(key, shape, expected);
        }
        return shape;
    }

    private WeightException wrongShape(String key, long[] shape, String expected) {
        return new WeightException(golden.description() + ": '" + key + "' has the shape " + Shapes.text(shape) + " where " + expected
                + " is expected");
    }

    // --- the model --------------------------------------------------------------------------------------------------

    /**
     * The files of the case's model: each part (unet, vae, text_encoder, tokenizer, scheduler) is what case.json names under that
     * key, or else the folder of that name here, or else in the model folder that {@code base} names; without a base all of them are
     * here.
     */
    ModelFiles model() {
        return model(Map.of());
    }

    /** The same with some parts from elsewhere. */
    ModelFiles model(Map<String, Path> elsewhere) {
        Optional<JsonValue> base = parameters.find("base");
        Map<String, Path> parts = new HashMap<>();
        for (String part : PARTS) {
            Optional<JsonValue> named = parameters.find(part);
            if (named.isPresent()) {
                parts.put(part, file(named.get()));
            } else if (Files.isDirectory(path.resolve(part))) {
                parts.put(part, path.resolve(part));
            }
        }
        parts.putAll(elsewhere);
        return ModelFiles.open(base.map(this::file).orElse(path), parts);
    }

    /** The networks of {@link #model()}. */
    StableDiffusion load() {
        try (ModelFiles files = model()) {
            return load(files);
        }
    }

    /** The networks of files; texts are padded with {@code pad_token_id} of case.json where it says one. */
    StableDiffusion load(ModelFiles files) {
        return padded(StableDiffusion.load(files, device, System.err::println));
    }

    /** Those of {@link #model()}, which are made of {@code shelf} after they have left. */
    StableDiffusion load(StableDiffusion.Shelf shelf) {
        try (ModelFiles files = model()) {
            return padded(StableDiffusion.load(files, Loras.NONE, List.of(), new Room(device, System.err::println), shelf, device,
                    System.err::println, ProgressListener.NONE));
        }
    }

    private StableDiffusion padded(StableDiffusion model) {
        return parameters.find("pad_token_id").map(id -> new StableDiffusion(device, model.tokenizer().withPadding(token(id, model)),
                model.textEncoderPart(), model.unetPart(), model.vaePart(), model.schedule(), model.sampler())).orElse(model);
    }

    private static int token(JsonValue id, StableDiffusion model) {
        if (id.asInt() < 0 || id.asInt() >= model.tokenizer().vocabularySize()) {
            throw new WeightException(id.where() + " is " + id + " where a token below " + model.tokenizer().vocabularySize() + " is expected");
        }
        return id.asInt();
    }

    EmbeddedAttentionAdapter adapter(Path file, StableDiffusion model) {
        try (WeightSource source = Safetensors.open(file)) {
            return EmbeddedAttentionAdapter.load(source, model.unet(), device);
        }
    }

    @Override
    public void close() {
        golden.close();
    }
}
