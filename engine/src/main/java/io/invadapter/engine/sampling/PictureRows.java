package io.invadapter.engine.sampling;

import io.invadapter.engine.adapter.Layout;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/** The pictures' own latents, and what a walk makes of them and of what the network predicts for them. */
final class PictureRows {
    private final Device device;
    private final DenoisingPlan.Shape shape;
    /** {@code [pictures, registers, terms]}: of this step, for each picture. */
    private final Tensor moves;
    /** {@code [pictures, 1, 2]}: of the negative prompt's row and of the prompt's, where guidance is rescaled; else {@code null}. */
    private final Tensor guidance;
    private final Tensor rescale;
    /** The first are the latents. */
    private final List<Tensor> registers = new ArrayList<>();
    private final Tensor noise;
    private final Tensor canvas;
    private final Blending blending;
    private Walk walk;
    private Guided guided;
    private FreshNoise freshNoise;

    /** @param owner takes over what is allocated */
    PictureRows(Device device, UNetConfig network, DenoisingPlan.Shape shape, UnaryOperator<Tensor> owner) {
        this.device = device;
        this.shape = shape;
        int pictures = shape.pictures().pictures();
        int height = shape.pictures().height();
        int width = shape.pictures().width();
        int channels = network.outChannels();
        int given = network.inChannels() - channels;
        moves = owner.apply(device.allocate(DataType.FLOAT32, pictures, shape.registers(), shape.terms()));
        for (int i = 0; i < shape.registers(); i++) {
            registers.add(owner.apply(device.allocate(DataType.FLOAT32, pictures, height, width, channels)));
        }
        noise = shape.noise() ? owner.apply(device.allocate(DataType.FLOAT32, pictures, height, width, channels)) : null;
        canvas = given == 0 ? null : owner.apply(device.allocate(device.precision().type(), pictures, height, width, given));
        blending = shape.blended() ? new Blending(device, owner, pictures, height, width, channels) : null;
        boolean rescaled = shape.pictures().parts().stream().anyMatch(Layout.Part::rescaled);
        guidance = rescaled ? owner.apply(device.allocate(DataType.FLOAT32, pictures, 1, 2)) : null;
        rescale = rescaled ? owner.apply(device.allocate(DataType.FLOAT32, pictures)) : null;
    }

    /** Float32 {@code [pictures, h, w, C]}. */
    Tensor latents() {
        return registers.getFirst();
    }

    /** {@link Inpainting#canvas}, for a network that is trained for it; else {@code null}. */
    Tensor canvas() {
        return canvas;
    }

    void start(Sampling sampling) {
        walk = sampling.walk();
        guided = Guided.of(sampling.guidance());
        freshNoise = sampling.noise();
        device.write(latents(), sampling.start().channelsLast());
        if (guidance != null) {
            device.write(guidance, guided.factors());
            device.write(rescale, guided.amounts());
        }
        if (canvas != null) {
            device.write(canvas, sampling.inpainting().canvas().channelsLast());
        }
        if (blending != null) {
            blending.start(sampling.inpainting());
        }
    }

    void before(int number) {
        Step step = walk.steps().get(number);
        device.write(moves, guided.moves(step, shape));
        if (step.noise()) {
            device.write(noise, freshNoise.draw(number).channelsLast());
        }
        if (blending != null) {
            blending.reach(number + 1 < walk.steps().size() ? step.alphaTo() : 1);
        }
    }

    /** Recorded, for the pictures of one part. @param first of them; @param predicted for their rows */
    void move(Layout.Part part, int first, Tensor predicted) {
        int count = part.pictures();
        // Without guidance the factor of the negative prompt's row is 0.
        Tensor negative = predicted.rows(0, count);
        Tensor prompt = part.guided() ? predicted.rows(count, count) : negative;
        if (part.rescaled()) {
            Tensor both = device.allocate(DataType.FLOAT32, prompt.shape());
            device.combine(List.of(both), guidance.rows(first, count), negative, prompt);
            device.matchDeviation(both, prompt, rescale.rows(first, count));
            prompt = both;
        }
        List<Tensor> targets = registers.stream().map(register -> register.rows(first, count)).toList();
        List<Tensor> terms = new ArrayList<>(targets);
        terms.add(negative);
        terms.add(prompt);
        if (noise != null) {
            terms.add(noise.rows(first, count));
        }
        device.combine(targets, moves.rows(first, count), terms.toArray(Tensor[]::new));
        if (blending != null) {
            blending.blend(targets.getFirst(), first);
        }
    }
}
