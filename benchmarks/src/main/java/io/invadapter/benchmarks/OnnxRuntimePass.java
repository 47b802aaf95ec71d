package io.invadapter.benchmarks;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.invadapter.timing.Structure;
import java.io.IOException;
import java.io.InputStream;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.SplittableRandom;

/** The same pass in ONNX Runtime, from the file that {@code benchmarks/pytorch/unet.py --onnx} writes. */
final class OnnxRuntimePass implements AutoCloseable {
    private static final String[] LIBRARIES = {"libonnxruntime.so", "libonnxruntime4j_jni.so"};
    /** {@code xgetbv} */
    private static final byte[] ASK_FOR_REGISTERS = {0x0F, 0x01, (byte) 0xD0};
    /** {@code push 7; pop rax}: the system keeps the registers of AVX and no larger ones. */
    private static final byte[] ANSWER_AVX = {0x6A, 0x07, 0x58};

    private final OrtSession session;
    private final Map<String, OnnxTensor> inputs;

    OnnxRuntimePass(Path file, int threads) throws OrtException {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        OrtSession.SessionOptions options = new OrtSession.SessionOptions();
        options.setIntraOpNumThreads(threads);
        session = environment.createSession(file.toString(), options);
        SplittableRandom random = new SplittableRandom(1);
        int size = Structure.STABLE_DIFFUSION_15.unet().sampleSize();
        int contextChannels = Structure.STABLE_DIFFUSION_15.unet().contextChannels();
        inputs = Map.of("latents", gaussian(environment, random, 1, 4, size, size),
                "timestep", OnnxTensor.createTensor(environment, FloatBuffer.wrap(new float[] {501}), new long[0]),
                "context", gaussian(environment, random, 1, Structure.TEXT_TOKENS, contextChannels));
    }

    private static OnnxTensor gaussian(OrtEnvironment environment, SplittableRandom random, long... shape) throws OrtException {
        int elements = 1;
        for (long extent : shape) {
            elements *= (int) extent;
        }
        float[] values = new float[elements];
        for (int i = 0; i < elements; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return OnnxTensor.createTensor(environment, FloatBuffer.wrap(values), shape);
    }

    /** Returns the predicted noise. */
    float[] run() throws OrtException {
        try (OrtSession.Result result = session.run(inputs)) {
            FloatBuffer noise = ((OnnxTensor) result.get(0)).getFloatBuffer();
            float[] values = new float[noise.remaining()];
            noise.get(values);
            return values;
        }
    }

    @Override
    public void close() throws OrtException {
        session.close();
    }

    /**
     * Makes ONNX Runtime compute with AVX2 on a processor that has AVX-512: no option does, so it gets a copy of its library in
     * which the question for the system's registers is answered as on a processor without. Linux on x86-64 only; comes first.
     *
     * @param folder for the copy
     */
    static void limitToAvx2(Path folder) throws IOException {
        for (String library : LIBRARIES) {
            try (InputStream packed = OrtEnvironment.class.getResourceAsStream("native/linux-x64/" + library)) {
                Files.write(folder.resolve(library), withoutLargeRegisters(packed.readAllBytes()));
            }
        }
        System.setProperty("onnxruntime.native.path", folder.toString());
    }

    private static byte[] withoutLargeRegisters(byte[] code) {
        for (int i = 0; i + 2 < code.length; i++) {
            if (code[i] == ASK_FOR_REGISTERS[0] && code[i + 1] == ASK_FOR_REGISTERS[1] && code[i + 2] == ASK_FOR_REGISTERS[2]) {
                System.arraycopy(ANSWER_AVX, 0, code, i, ANSWER_AVX.length);
            }
        }
        return code;
    }
}
