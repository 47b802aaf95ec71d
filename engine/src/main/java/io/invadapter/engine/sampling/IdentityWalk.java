package io.invadapter.engine.sampling;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.sampling.NoiseSchedule.Prediction;
import java.util.List;

/**
 * The way of an identity's row beside pictures, whichever sampler they take: by DDIM (eta 0) from level to level of the pictures' calls,
 * so that at every call it is as noisy as they are. With {@link Ddim} that is the pictures' own way.
 */
public final class IdentityWalk {

    private IdentityWalk() {
    }

    /** A step for each of {@code pictures}; where those do not move it does not either. */
    public static Walk beside(Walk pictures, Prediction prediction) {
        return new Walk(1, 1, pictures.steps().stream()
                .map(step -> step.moves() ? Ddim.step(step.timestep(), step.alphaFrom(), step.alphaTo(), prediction)
                        : new Step(step.timestep(), step.alphaFrom(), step.alphaTo(), new double[][] {{1, 0, 0}}, false))
                .toList());
    }

    /**
     * The steps that move, the other way: from the picture to the noise that {@link #beside} starts from. There the network is asked at
     * the timestep of the level being reached. A velocity is read as the noise that it stands for at that timestep, as if the network
     * predicted noise.
     *
     * @throws InvalidRequestException where there is no way back
     */
    public static Walk inversion(Walk pictures, Prediction prediction) {
        if (prediction == Prediction.SAMPLE && pictures.steps().getLast().alphaTo() == 1) {
            throw new InvalidRequestException("a network that predicts the picture cannot turn one without any noise back into noise, where"
                    + " this sampler ends; expected DDIM or DEIS, and set_alpha_to_one false");
        }
        List<Step> steps = pictures.steps().reversed();
        return new Walk(1, 1, steps.stream().filter(Step::moves)
                .map(step -> prediction == Prediction.V ? velocityBack(step) : Ddim.step(step.timestep(), step.alphaTo(), step.alphaFrom(), prediction))
                .toList());
    }

    private static Step velocityBack(Step step) {
        double from = step.alphaTo();
        double to = step.alphaFrom();
        WalkBuilder walk = new WalkBuilder(Prediction.V, 1);
        Linear eps = walk.at(step.timestep(), to).eps();
        WalkBuilder.Call call = walk.at(step.timestep(), from);
        Linear x0 = call.x().plus(-Math.sqrt(1 - from), eps).over(Math.sqrt(from));
        call.move(to, x0.times(Math.sqrt(to)).plus(Math.sqrt(1 - to), eps));
        return walk.walk(1).steps().getFirst();
    }
}
