package io.invadapter.engine.adapter;

import java.util.ArrayList;
import java.util.List;

/**
 * How pictures go through the network together.
 *
 * @param parts  of the pictures: each goes through the network by itself
 * @param height of the pictures' latents
 * @param width  of the pictures' latents
 */
public record Layout(List<Part> parts, int height, int width) {
    public Layout {
        parts = List.copyOf(parts);
    }

    /**
     * Pictures that go through the network in one batch.
     *
     * @param tokens   of each text
     * @param guided   two rows for each picture: those of the negative prompts, then those of the prompts
     * @param rescaled whether what guidance does to the deviation of the prediction is taken back
     */
    public record Part(int pictures, int tokens, boolean guided, boolean rescaled) {
        public int rows() {
            return guided ? 2 * pictures : pictures;
        }
    }

    /**
     * A row of a batch.
     *
     * @param picture  among all of the layout, from 0
     * @param negative whether it has the picture's negative prompt
     */
    public record Row(int picture, boolean negative) {
    }

    public int pictures() {
        return parts.stream().mapToInt(Part::pictures).sum();
    }

    /** Part by part. */
    public List<Row> rows() {
        List<Row> rows = new ArrayList<>();
        int first = 0;
        for (Part part : parts) {
            for (int i = 0; i < part.rows(); i++) {
                rows.add(new Row(first + i % part.pictures, part.guided && i < part.pictures));
            }
            first += part.pictures;
        }
        return rows;
    }
}
