package io.invadapter.engine.pipeline;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.making.Batch;
import io.invadapter.engine.making.Order;
import io.invadapter.engine.making.Workshop;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.Init;
import io.invadapter.engine.sampling.Ddim;
import io.invadapter.engine.sampling.IdentityWalk;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.sampling.Sampler;
import io.invadapter.engine.sampling.Walk;
import java.awt.image.BufferedImage;
import java.util.Objects;

/** What becomes of requests before anything is computed: the numbers that they leave open, and whether the model can carry them out. */
final class Acceptance {
    private final Workshop workshop;
    private final ModelDefaults defaults;

    Acceptance(Workshop workshop, ModelDefaults defaults) {
        this.workshop = workshop;
        this.defaults = defaults;
    }

    /**
     * A request as the pipeline would carry it out.
     *
     * @throws InvalidRequestException when it cannot
     */
    Order order(GenerationRequest request) {
        StableDiffusion model = workshop.model();
        GenerationRequest filled = filled(Objects.requireNonNull(request, "request"));
        Init init = filled.init();
        if (model.unet().config().inpainting() && (init == null || init.mask() == null)) {
            throw new InvalidRequestException("this model is trained for inpainting: it needs a picture to start from and a mask");
        }
        Sampler sampler = sampler(request);
        Walk walk = sampler.walk(model.schedule(), filled.steps(), init == null ? 1 : init.strength());
        if (filled.identityScale() != 0) {
            IdentityWalk.inversion(walk, model.schedule().prediction());
        }
        int factor = model.vae().factor();
        if (init != null && (init.picture().getWidth() < factor || init.picture().getHeight() < factor)) {
            throw new InvalidRequestException("the picture to start from has " + init.picture().getWidth() + " x " + init.picture().getHeight()
                    + " pixels; expected at least " + factor + " x " + factor);
        }
        if (filled.width() < factor || filled.height() < factor || filled.width() % factor != 0 || filled.height() % factor != 0) {
            throw new InvalidRequestException("size " + filled.width() + "x" + filled.height()
                    + ": width and height must be multiples of " + factor);
        }
        model.textEncoder().config().requireClipSkip(filled.clipSkip());
        if (request.face() != null && workshop.adapter() == null) {
            throw new InvalidRequestException("a face needs an adapter: none was given for this model");
        }
        LoraFolder.requireFound(request);
        return new Order(filled, Batch.Kind.of(filled, sampler));
    }

    /** @throws InvalidRequestException when no face can be turned into noise in that many steps, and back */
    void requireInversion(int steps) {
        NoiseSchedule schedule = workshop.model().schedule();
        IdentityWalk.inversion(new Ddim().walk(schedule, steps, 1), schedule.prediction());
    }

    /** With the model's own numbers where {@code request} leaves them open. */
    GenerationRequest filled(GenerationRequest request) {
        int factor = workshop.model().vae().factor();
        BufferedImage init = request.init() == null ? null : request.init().picture();
        return request.filled(steps(), guidanceScale(), identityScale(),
                init == null ? width() : init.getWidth() / factor * factor, init == null ? height() : init.getHeight() / factor * factor);
    }

    /** @throws InvalidRequestException when there is no sampler of the name in {@code request} */
    Sampler sampler(GenerationRequest request) {
        return defaults.sampler(request, workshop.model().sampler());
    }

    /** Width of the pictures the model was trained on. */
    int width() {
        return workshop.model().unet().config().sampleWidth() * workshop.model().vae().factor();
    }

    /** Height of the pictures the model was trained on. */
    int height() {
        return workshop.model().unet().config().sampleHeight() * workshop.model().vae().factor();
    }

    int steps() {
        return defaults.steps(workshop.model().sampler());
    }

    double guidanceScale() {
        return defaults.guidanceScale(workshop.model().sampler());
    }

    /** The text encoder's layer that is read, counted from the last, which is 1. */
    int clipSkip() {
        return workshop.model().textEncoder().config().clipSkip();
    }

    /** The adapter's recommended lambda; 0 without. */
    double identityScale() {
        return workshop.adapter() == null ? 0 : workshop.adapter().defaultScale();
    }
}
