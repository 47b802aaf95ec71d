package io.invadapter.engine.sampling;

import io.invadapter.engine.adapter.Layout;
import java.nio.FloatBuffer;
import java.util.List;

/**
 * What a walk makes of the pictures' predictions.
 *
 * @param scales  of guidance, for each picture
 * @param amounts of guidance rescale, for each picture
 */
record Guided(float[] scales, float[] amounts) {

    static Guided of(List<Diffusion.Guidance> guidance) {
        float[] scales = new float[guidance.size()];
        float[] amounts = new float[scales.length];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = (float) guidance.get(i).scale();
            amounts[i] = guidance.get(i).isRescaled() ? (float) guidance.get(i).rescale() : 0;
        }
        return new Guided(scales, amounts);
    }

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
        FloatBuffer factors = FloatBuffer.allocate(scales.length * shape.registers() * shape.terms());
        int picture = 0;
        for (Layout.Part part : shape.pictures().parts()) {
            for (int i = 0; i < part.pictures(); i++, picture++) {
                // What is guided already stands in the prompt's place; of a picture that wants no guidance beside one that does,
                // eps_negative + 1 (eps_prompt - eps_negative), only eps_prompt is left.
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
