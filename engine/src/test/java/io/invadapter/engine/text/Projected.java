package io.invadapter.engine.text;

import io.invadapter.weights.DType;
import io.invadapter.weights.ForwardingSource;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A text encoder of 128 channels with a projection onto 6: value i of it is (37 i mod 101 - 50) / 1000. */
final class Projected extends ForwardingSource {
    private static final String NAME = "text_projection.weight";

    Projected(WeightSource source) {
        super(source);
    }

    @Override
    public Set<String> names() {
        return Stream.concat(super.names().stream(), Stream.of(NAME)).collect(Collectors.toSet());
    }

    @Override
    public WeightTensor tensor(String name) {
        if (!name.equals(NAME)) {
            return super.tensor(name);
        }
        ByteBuffer values = ByteBuffer.allocate(6 * 128 * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < 6 * 128; i++) {
            values.putFloat((float) ((i * 37 % 101 - 50) / 1000.0));
        }
        return WeightTensor.of(NAME, DType.F32, MemorySegment.ofArray(values.array()), 6, 128);
    }
}
