package io.invadapter.engine.sampling;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.sampling.NoiseSchedule.Prediction;
import java.util.ArrayList;
import java.util.List;

/**
 * Pseudo linear multistep (PLMS; Liu et al. 2022): Adams and Bashforth on what the network predicts. The first step is done twice, by Euler,
 * then from its beginning with the mean of both predictions. PNDM as published begins with three steps of Runge and Kutta, of four calls each.
 * diffusers: {@code PNDMScheduler} with and without {@code skip_prk_steps}.
 */
public record Pndm(boolean rungeKutta) implements Sampler {
    /** What is remembered: the latents that a step began with, the last predictions, the newest first, and Runge's and Kutta's sum. */
    private static final int KEPT = 1;
    private static final int OUTPUTS = 2;
    private static final int SUM = 5;

    static Sampler of(SamplerOptions options) {
        return new Pndm(!options.flag("skip_prk_steps", false));
    }

    @Override
    public String name() {
        return rungeKutta ? "PNDM" : "PLMS";
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        int[] all = schedule.timesteps(steps);
        int first = schedule.firstStep(steps, strength);
        int gap = schedule.maxSteps() / steps;
        Course course = new Course(schedule, new WalkBuilder(schedule.prediction(), rungeKutta ? SUM + 1 : SUM));
        List<Integer> timesteps = new ArrayList<>();
        for (int timestep : all) {
            timesteps.add(timestep);
        }
        if (rungeKutta) {
            if (steps - first < 4) {
                throw new InvalidRequestException("PNDM begins with Runge's and Kutta's method over 4 timesteps, not " + (steps - first)
                        + "; PLMS does without");
            }
            course.rungeKutta(timesteps.subList(first, first + 4), gap / 2);
            course.adamsBashforth(timesteps.subList(first + 3, steps), gap, 3);
        } else {
            if (steps > 1) {
                timesteps.add(1, timesteps.get(1));
            }
            course.adamsBashforth(timesteps.subList(first, timesteps.size()), gap, 0);
        }
        return course.walk.walk(1);
    }

    /** A walk while it is written. */
    private record Course(NoiseSchedule schedule, WalkBuilder walk) {

        /** @param outputs that are remembered already */
        void adamsBashforth(List<Integer> timesteps, int gap, int outputs) {
            int known = outputs;
            boolean twice = outputs == 0;
            for (int i = 0; i < timesteps.size(); i++) {
                int t = timesteps.get(i);
                WalkBuilder.Call call = walk.at(t, alpha(t));
                Linear e = prediction(call);
                Linear e1 = call.remembered(OUTPUTS);
                Linear e2 = call.remembered(OUTPUTS + 1);
                Linear e3 = call.remembered(OUTPUTS + 2);
                if (twice && i == 1) {
                    move(call, call.remembered(KEPT), t + gap, t, e.plus(e1).over(2), call.remembered(KEPT), e1);
                    continue;
                }
                known = Math.min(known + 1, 4);
                Linear mean = switch (known) {
                    case 1 -> e;
                    case 2 -> e.times(3).minus(e1).over(2);
                    case 3 -> e.times(23).plus(-16, e1).plus(5, e2).over(12);
                    default -> e.times(55).plus(-59, e1).plus(37, e2).plus(-9, e3).over(24);
                };
                move(call, call.x(), t, t - gap, mean, call.x(), e, e1, e2);
            }
        }

        /** Of fourth order, between the timesteps; as published the fourth call is at the end of the step, where the next begins. */
        void rungeKutta(List<Integer> timesteps, int half) {
            for (int i = 0; i < 3; i++) {
                int begin = timesteps.get(i);
                int end = timesteps.get(i + 1);
                int middle = end + half;
                WalkBuilder.Call call = walk.at(begin, alpha(begin));
                Linear e = prediction(call);
                move(call, call.x(), begin, begin - half, e, call.x(), e, call.remembered(OUTPUTS), call.remembered(OUTPUTS + 1), e.over(6));

                call = walk.at(middle, alpha(middle));
                Linear second = prediction(call);
                part(call, begin, middle, second, call.remembered(SUM).plus(second.over(3)));

                call = walk.at(middle, alpha(middle));
                Linear third = prediction(call);
                part(call, begin, middle - half, third, call.remembered(SUM).plus(third.over(3)));

                call = walk.at(end, alpha(end));
                Linear sum = call.remembered(SUM).plus(prediction(call).over(6));
                part(call, begin, end, sum, sum);
            }
        }

        private void part(WalkBuilder.Call call, int begin, int to, Linear e, Linear sum) {
            move(call, call.remembered(KEPT), begin, to, e, call.remembered(KEPT), call.remembered(OUTPUTS), call.remembered(OUTPUTS + 1),
                    call.remembered(OUTPUTS + 2), sum);
        }

        /** The transfer of Liu et al. (equation 11), from a timestep to another, of latents at the first. */
        private void move(WalkBuilder.Call call, Linear x, int from, int to, Linear e, Linear... memory) {
            double a = alpha(from);
            double b = alpha(to);
            Linear noise = schedule.prediction() == Prediction.V ? e.times(Math.sqrt(a)).plus(Math.sqrt(1 - a), x) : e;
            call.move(b, x.times(Math.sqrt(b / a)).plus(-(b - a) / (a * Math.sqrt(1 - b) + Math.sqrt(a * (1 - a) * b)), noise), memory);
        }

        /** What is averaged over calls: the output itself where it tells the noise, and diffusers does so with velocities too. */
        private Linear prediction(WalkBuilder.Call call) {
            return schedule.prediction() == Prediction.SAMPLE ? call.eps() : call.output();
        }

        private double alpha(int timestep) {
            // The transfer divides by it, though a velocity's 0 cancels.
            double alpha = schedule.alphaBefore(Math.min(timestep, schedule.maxSteps() - 1), false);
            return alpha == 0 ? NoiseSchedule.LEAST_ALPHA : alpha;
        }
    }
}
