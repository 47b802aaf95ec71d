package io.invadapter.engine.identity;

import io.invadapter.engine.model.Loras;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.model.ModelFiles;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.TreeSet;
import java.util.zip.CRC32C;

/** A SHA-256 over contents, of weights over a checksum for each tensor: two that agree stand for the same. */
public final class Fingerprint {
    private static final int PIECE = 1 << 26;

    private final MessageDigest digest;

    public Fingerprint() {
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    /** Each preceded by its length, so that no two sequences run into one another. */
    public Fingerprint add(String text) {
        return add(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
    }

    public Fingerprint add(int... values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length);
        bytes.asIntBuffer().put(values);
        return add(bytes);
    }

    public Fingerprint add(double... values) {
        ByteBuffer bytes = ByteBuffer.allocate(Double.BYTES * values.length);
        bytes.asDoubleBuffer().put(values);
        return add(bytes);
    }

    private Fingerprint add(ByteBuffer bytes) {
        digest.update(ByteBuffer.allocate(4).putInt(0, bytes.remaining()));
        digest.update(bytes);
        return this;
    }

    /** All weights of a model that decide what an identity looks like to it. */
    public Fingerprint add(ModelFiles files) {
        add(files.unetConfig().toString()).add(files.vaeConfig().toString()).add(files.textEncoderConfig().toString())
                .add(files.schedulerConfig().toString());
        return add(files.unet()).add(files.vae()).add(files.textEncoder());
    }

    /** What LoRAs change in a model, in their order. */
    public Fingerprint add(Loras loras) {
        for (int i = 0; i < loras.uses().size(); i++) {
            LoraUse use = loras.uses().get(i);
            add(use.textEncoderScale() + " " + use.unetScale()).add(loras.tensors().get(i));
        }
        return this;
    }

    public Fingerprint add(WeightSource source) {
        for (String name : new TreeSet<>(source.names())) {
            WeightTensor tensor = source.tensor(name);
            add(name).add(tensor.toString());
            digest.update(ByteBuffer.allocate(Long.BYTES).putLong(0, checksum(tensor.data())));
        }
        return this;
    }

    /** Many times as fast as SHA-256: a model has gigabytes, and nobody forges weights to get at a face of his own folder. */
    static long checksum(MemorySegment data) {
        CRC32C sum = new CRC32C();
        for (long start = 0; start < data.byteSize(); start += PIECE) {
            sum.update(data.asSlice(start, Math.min(PIECE, data.byteSize() - start)).asByteBuffer());
        }
        return sum.getValue();
    }

    /** Hexadecimal. */
    public String value() {
        return HexFormat.of().formatHex(digest.digest());
    }
}
