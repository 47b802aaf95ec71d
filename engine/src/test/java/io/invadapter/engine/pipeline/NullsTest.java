package io.invadapter.engine.pipeline;

import io.invadapter.engine.adapter.eaa.People;
import io.invadapter.engine.picture.PictureFile;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.Latents;
import io.invadapter.engine.picture.FacePicture;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.InversionResult;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.text.ClipTokenizer;
import io.invadapter.engine.vae.Vae;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.HostTensor;
import java.awt.image.BufferedImage;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What may not be {@code null} is refused by its name, where it is given and not later. */
class NullsTest {
    private static final BufferedImage FACE = new BufferedImage(32, 32, BufferedImage.TYPE_INT_RGB);
    private static final GenerationRequest REQUEST = GenerationRequest.builder().build();
    private static final Path FILE = Path.of("none");

    private static void refused(String name, Executable call) {
        String message = assertThrows(NullPointerException.class, call, name).getMessage();
        assertTrue(message != null && message.matches("(?s)(.*\\W)?" + name + "(\\W.*)?"), name + ": " + message);
    }

    @Test
    void ofAPipeline() {
        refused("model", () -> Pipeline.builder().model(null));
        refused("file", () -> Pipeline.builder().lora(null, 1));
        refused("folder", () -> new LoraFolder(null));
        refused("device", () -> Pipeline.builder().device(null));
        refused("notices", () -> Pipeline.builder().notices(null));
        refused("a pipeline needs a model", () -> Pipeline.builder().open());
        try (Pipeline pipeline = Pictures.builder(IdentityBudget.NONE).identityBudget(null).precision(null).adapter(null).open()) {
            refused("request", () -> pipeline.generate((GenerationRequest) null));
            refused("requests", () -> pipeline.generate((List<GenerationRequest>) null));
            refused("request", () -> pipeline.generate(Arrays.asList(REQUEST, null)));
            refused("face", () -> pipeline.invert(null, "", 1, ProgressListener.NONE));
            refused("caption", () -> pipeline.invert(FACE, null, 1, ProgressListener.NONE));
            refused("listener", () -> pipeline.invert(FACE, "", 1, null));
            refused("request", () -> PictureParameters.of(null, 0, pipeline, "model"));
            refused("model", () -> PictureParameters.of(REQUEST, 0, pipeline, null));
            refused("result", () -> PictureParameters.of(null, "", 1, pipeline, "model"));
            InversionResult result = new InversionResult(FACE, FACE, new Latents(new float[1], 1, 1, 1, 1), 0, List.of());
            refused("caption", () -> PictureParameters.of(result, null, 1, pipeline, "model"));
            refused("model", () -> PictureParameters.of(result, "", 1, pipeline, null));
            try (PipelinePool pool = PipelinePool.builder().pipeline(pipeline).build()) {
                refused("request", () -> pool.submit(null));
                refused("client", () -> pool.submit(null, REQUEST));
                refused("request", () -> pool.submit("client", null));
                refused("patience", () -> pool.submit("client", REQUEST, null));
                refused("request", () -> pool.submit("client", null, Duration.ZERO));
                assertEquals(0, pool.waiting());
            }
        }
        refused("pipeline", () -> PipelinePool.builder().pipeline((Pipeline) null));
        refused("opener", () -> PipelinePool.builder().pipeline((Supplier<Pipeline>) null));
    }

    @Test
    void ofARequest() {
        GenerationRequest.Builder builder = GenerationRequest.builder().face(null);
        refused("prompt", () -> builder.prompt(null));
        refused("negativePrompt", () -> builder.negativePrompt(null));
        refused("caption", () -> builder.caption(null));
        refused("identityLayers", () -> builder.identityLayers(null));
        refused("identityRows", () -> builder.identityRows(null));
        refused("loras", () -> builder.loras(null));
        refused("listener", () -> builder.listener(null));
        refused("cancellation", () -> builder.cancellation(null));
    }

    @Test
    void ofPictures() {
        refused("file", () -> FacePicture.read((Path) null, warning -> { }));
        refused("in", () -> FacePicture.read((InputStream) null, warning -> { }));
        refused("content", () -> FacePicture.read((byte[]) null, warning -> { }));
        refused("warnings", () -> FacePicture.read(FILE, null));
        refused("warnings", () -> FacePicture.read(new byte[0], null));
        refused("file", () -> PictureFile.Format.of(null));
        refused("file", () -> PictureFile.write(FACE, null, null));
        refused("picture", () -> PictureFile.write(null, null, Path.of("x.png")));
        refused("picture", () -> PictureFile.encode(null, null, PictureFile.Format.PNG));
        refused("format", () -> PictureFile.encode(FACE, null, null));
    }

    @Test
    void ofDevicesAndTokens() {
        refused("name", () -> Devices.open(null, null, notice -> { }));
        refused("notices", () -> Devices.open("cpu", null, null));
        refused("values", () -> HostTensor.of(null, 1));
        refused("shape", () -> HostTensor.of(new float[1], (int[]) null));
        refused("folder", () -> ClipTokenizer.fromFolder(null, notice -> { }));
        refused("text", () -> ClipTokenizer.bundled().encode(null));
    }

    @Test
    void ofRecords() {
        Latents latents = new Latents(new float[1], 1, 1, 1, 1);
        float[] text = new float[1];
        People.Keeper keeper = (step, features) -> { };
        refused("values", () -> new Latents(null, 1, 1, 1, 1));
        refused("type", () -> new HostTensor(null, new int[] {1}, MemorySegment.ofArray(text)));
        refused("data", () -> new HostTensor(DataType.FLOAT32, new int[] {1}, null));
        refused("images", () -> new GenerationResult(null, List.of(), List.of()));
        refused("latents", () -> new GenerationResult(List.of(), null, List.of()));
        refused("warnings", () -> new GenerationResult(List.of(), List.of(), null));
        refused("reconstruction", () -> new InversionResult(FACE, null, latents, 0, List.of()));
        refused("negative", () -> new Diffusion.Guidance(text, null, 1));
        refused("start", () -> new Sampling(null, List.of(), new Walk(1, 1, List.of())));
        refused("walk", () -> new Sampling(latents, List.of(), null));
        refused("faces", () -> new People.Inverted(null, keeper));
        refused("keeper", () -> new People.Stored(1, null));
        refused("cut", () -> new ClipTokenizer.Encoding(new int[0], null));
        refused("logvar", () -> new Vae.Distribution(latents, null));
    }
}
