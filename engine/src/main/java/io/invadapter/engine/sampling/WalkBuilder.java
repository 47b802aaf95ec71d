package io.invadapter.engine.sampling;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.sampling.NoiseSchedule.Prediction;
import java.util.ArrayList;
import java.util.List;

/** Writes down what a sampler does, call by call. */
final class WalkBuilder {
    private final Prediction prediction;
    private final int registers;
    private final List<Step> steps = new ArrayList<>();
    /** Registers that hold something. */
    private int defined = 1;

    /** @param registers the latents and what the sampler remembers */
    WalkBuilder(Prediction prediction, int registers) {
        this.prediction = prediction;
        this.registers = registers;
    }

    /**
     * A call with latents at a level in the network's own scale.
     *
     * @throws InvalidRequestException for a network that predicts noise where there is nothing else
     */
    Call at(double timestep, double alpha) {
        if (prediction == Prediction.EPSILON && alpha == 0) {
            throw new InvalidRequestException("timestep " + (int) timestep + " of this model is pure noise (rescale_betas_zero_snr), where a network of"
                    + " prediction_type \"epsilon\" predicts nothing; expected a sampler that starts later, such as DDIM");
        }
        return new Call(timestep, alpha, 1);
    }

    /** A call with latents {@code x0 + sigma eps}, as k-diffusion has them; the network gets them in its own scale. */
    Call atSigma(double timestep, double sigma) {
        return new Call(timestep, NoiseLevels.alpha(sigma), Math.sqrt(sigma * sigma + 1));
    }

    /** @param startScale of {@link Walk} */
    Walk walk(double startScale) {
        return new Walk(startScale, registers, steps);
    }

    /** One call of the network and what is known after it. */
    final class Call {
        private final double timestep;
        private final double alpha;
        private final double scale;

        private Call(double timestep, double alpha, double scale) {
            this.timestep = timestep;
            this.alpha = alpha;
            this.scale = scale;
        }

        private Linear term(int index) {
            return Linear.term(index, registers + 2);
        }

        /** The latents, in the scale that the call was made with. */
        Linear x() {
            return term(0).times(scale);
        }

        /** What the last call left in a register; 0 where none did. */
        Linear remembered(int register) {
            return register < defined ? term(register) : Linear.zero(registers + 2);
        }

        Linear output() {
            return term(registers);
        }

        /** Fresh noise. */
        Linear noise() {
            return term(registers + 1);
        }

        /** The picture that the network sees. */
        Linear x0() {
            double signal = Math.sqrt(alpha);
            double noise = Math.sqrt(1 - alpha);
            return switch (prediction) {
                case EPSILON -> term(0).plus(-noise, output()).over(signal);
                case V -> term(0).times(signal).plus(-noise, output());
                case SAMPLE -> output();
            };
        }

        /** The noise that the network sees. */
        Linear eps() {
            double signal = Math.sqrt(alpha);
            double noise = Math.sqrt(1 - alpha);
            return switch (prediction) {
                case EPSILON -> output();
                case V -> output().times(signal).plus(noise, term(0));
                case SAMPLE -> term(0).plus(-signal, output()).over(noise);
            };
        }

        /** Ends the step: the latents, at a level in the network's own scale, and what is remembered in the registers from 1 on. */
        void move(double alphaTo, Linear x, Linear... memory) {
            double[][] move = new double[registers][registers + 2];
            move[0] = x.factors();
            boolean noise = move[0][registers + 1] != 0;
            for (int i = 0; i < memory.length; i++) {
                move[i + 1] = memory[i].factors();
                noise |= move[i + 1][registers + 1] != 0;
            }
            defined = memory.length + 1;
            steps.add(new Step(timestep, alpha, alphaTo, move, noise));
        }

        /** The same with latents {@code x0 + sigma eps}. */
        void moveToSigma(double sigma, Linear x, Linear... memory) {
            move(NoiseLevels.alpha(sigma), x.over(Math.sqrt(sigma * sigma + 1)), memory);
        }
    }
}
