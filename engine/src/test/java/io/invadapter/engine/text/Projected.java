package io.invadapter.engine.text;

import io.invadapter.weights.DType;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A text encoder of 128 channels with a projection onto 6: value i of it is (37 i mod 101 - 50) / 1000. */
record Projected(WeightSource source) implements WeightSource {
    private static final String NAME = "text_projection.weight";

    @Override
    public Set<String> names() {
        return Stream.concat(source.names().stream(), Stream.of(NAME)).collect(Collectors.toSet());
    }

    @Override
    public WeightTensor tensor(String name) {
        if (!name.equals(NAME)) {
            return source.tensor(name);
        }
        ByteBuffer values = ByteBuffer.allocate(6 * 128 * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < 6 * 128; i++) {
            values.putFloat((float) ((i * 37 % 101 - 50) / 1000.0));
        }
        return WeightTensor.of(NAME, DType.F32, MemorySegment.ofArray(values.array()), 6, 128);
    }

    @Override
    public Map<String, String> metadata() {
        return source.metadata();
    }

    @Override
    public String description() {
        return source.description();
    }

    @Override
    public void close() {
        source.close();
    }
}
