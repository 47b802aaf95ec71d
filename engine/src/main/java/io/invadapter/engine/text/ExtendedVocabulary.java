package io.invadapter.engine.text;

import io.invadapter.weights.DType;
import io.invadapter.weights.ForwardingSource;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A text encoder's weights with the vectors of textual inversions below the embeddings of its own tokens. Closing it frees what it has
 * joined; the weights belong to whoever opened them.
 */
final class ExtendedVocabulary extends ForwardingSource {
    private final ClipTextConfig config;
    /** Not the heap's memory: the embeddings of a whole vocabulary are large. */
    private final Arena arena = Arena.ofShared();

    ExtendedVocabulary(WeightSource source, ClipTextConfig config) {
        super(source);
        this.config = config;
    }

    @Override
    public WeightTensor tensor(String name) {
        return name.equals(ClipTextEncoder.TOKENS) && config.addedTokens() > 0
                ? extended(target().tensor(name, config.vocabularySize(), config.channels())) : target().tensor(name);
    }

    private WeightTensor extended(WeightTensor own) {
        long[] shape = own.shape();
        shape[0] += config.addedTokens();
        MemorySegment rows = arena.allocate(shape[0] * shape[1] * Float.BYTES, Float.BYTES);
        long at = own.elements() * Float.BYTES;
        own.copyTo(rows.asSlice(0, at));
        for (TextualInversion inversion : config.inversions()) {
            MemorySegment.copy(inversion.vectors(), 0, rows, ValueLayout.JAVA_FLOAT, at, inversion.vectors().length);
            at += (long) inversion.vectors().length * Float.BYTES;
        }
        return WeightTensor.of(own.name(), DType.F32, rows, shape);
    }

    @Override
    public void close() {
        arena.close();
    }
}
