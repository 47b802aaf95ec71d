package io.invadapter.verification;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a case computed. */
final class Results {
    private final Map<String, float[]> values = new LinkedHashMap<>();
    private final List<String> differentTokens = new ArrayList<>();

    /** @param key of the golden data */
    void put(String key, float[] result) {
        values.put(key, result);
    }

    /** Whole numbers, which float32 holds up to 2^24. */
    void put(String key, int[] result) {
        values.put(key, floats(Arrays.stream(result).asDoubleStream().toArray()));
    }

    static float[] floats(double[] values) {
        float[] floats = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            floats[i] = (float) values[i];
        }
        return floats;
    }

    /** Token ids that must be the reference's, whatever key they have. */
    void tokens(String name, int[] found, int[] expected) {
        if (!Arrays.equals(found, expected)) {
            differentTokens.add(name + " differ: " + Arrays.toString(found) + " for " + Arrays.toString(expected));
        }
    }

    /** {@code null} where there is none. */
    float[] of(String key) {
        return values.get(key);
    }

    List<String> differentTokens() {
        return List.copyOf(differentTokens);
    }
}
