package io.invadapter.engine.sampling;

import java.nio.FloatBuffer;

/**
 * What a walk makes of the pictures' predictions.
 *
 * @param scales  of guidance, for each picture
 * @param amounts of guidance rescale, for each picture
 */
record Guided(float[] scales, float[] amounts) {

    /** {@code [pictures, 1, 2]}: of the negative prompt's row and of the prompt's. */
    float[] factors() {
        float[] factors = new float[2 * scales.length];
        for (int picture = 0; picture < scales.length; picture++) {
            factors[2 * picture] = 1 - scales[picture];
            factors[2 * picture + 1] = scales[picture];
        }
        return factors;
    }

    /** The step's move for each picture, its guidance with it: {@code f eps = (1 - g) f eps_negative + g f eps_prompt}. */
    float[] moves(Step step, DenoisingPlan.Shape shape) {
        FloatBuffer factors = FloatBuffer.allocate(shape.pictures() * shape.registers() * shape.terms());
        int picture = 0;
        for (DenoisingPlan.Part part : shape.parts()) {
            for (int i = 0; i < part.pictures(); i++, picture++) {
                // What is guided already stands in the prompt's place.
                double scale = part.rescaled() || !part.guided() ? 1 : scales[picture];
                for (double[] move : step.move()) {
                    for (int register = 0; register < shape.registers(); register++) {
                        factors.put((float) move[register]);
                    }
                    double prediction = move[shape.registers()];
                    factors.put((float) ((1 - scale) * prediction)).put((float) (scale * prediction));
                    if (shape.noise()) {
                        factors.put((float) move[shape.registers() + 1]);
                    }
                }
            }
        }
        return factors.array();
    }
}
