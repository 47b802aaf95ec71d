package io.invadapter.engine.sampling;

import io.invadapter.engine.Latents;
import java.util.ArrayList;
import java.util.List;

/** The noise that some samplers add on their way. */
@FunctionalInterface
public interface FreshNoise {

    /** For a {@link Walk} that takes none. */
    FreshNoise NONE = step -> {
        throw new IllegalStateException("step " + step + " takes fresh noise, and there is none");
    };

    /** @param step of the walk, from 0; @return standard normal, a row for each picture */
    Latents draw(int step);

    /** {@link SeededNoise}: what a picture gets depends on its own seed and the step. */
    static FreshNoise seeded(List<Long> seeds, int channels, int height, int width) {
        List<Long> ofPictures = List.copyOf(seeds);
        return step -> {
            List<Latents> rows = new ArrayList<>();
            ofPictures.forEach(seed -> rows.add(SeededNoise.fresh(seed, step, channels, height, width)));
            return Latents.stack(rows);
        };
    }
}
