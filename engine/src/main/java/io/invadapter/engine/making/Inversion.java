package io.invadapter.engine.making;

import io.invadapter.base.RelativeError;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.picture.FacePicture;
import io.invadapter.engine.request.InversionResult;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.sampling.Wanted;
import io.invadapter.engine.text.Prompt;
import io.invadapter.engine.vae.PictureLatents;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** A face to noise and back, once. */
public final class Inversion implements Runnable {
    private final Workshop workshop;
    private final BufferedImage face;
    private final String caption;
    private final int steps;
    private final Reports reports;
    private final BooleanSupplier wanted;
    private InversionResult result;

    /** @param wanted whether somebody still waits for it */
    public Inversion(Workshop workshop, BufferedImage face, String caption, int steps, Reports reports, BooleanSupplier wanted) {
        this.workshop = workshop;
        this.face = face;
        this.caption = caption;
        this.steps = steps;
        this.reports = reports;
        this.wanted = wanted;
    }

    public InversionResult result() {
        return result;
    }

    /** @throws CancellationException when nobody wants it any more */
    @Override
    public void run() {
        if (!wanted.getAsBoolean()) {
            throw new CancellationException("nobody waits for it");
        }
        workshop.layOver(List.of());
        StableDiffusion model = workshop.model();
        BufferedImage seen = FacePicture.square(face, workshop.identities().size());
        Prompt read = Prompt.plain("caption", caption, model.tokenizer());
        List<float[]> text = List.of(whileWanted(() -> model.textEncoderPart().use().encode(read.chunks().getFirst().ids())));
        Latents clean = whileWanted(() -> PictureLatents.encode(seen, model.vaePart().use()));
        Walk walk = workshop.diffusion().ddim(steps);
        Latents noise = workshop.diffusion().invertToNoise(clean, text, walk, phase("inverting"));
        Latents back = workshop.diffusion().denoise(noise, text, walk, phase("reconstructing"));
        BufferedImage reconstruction = whileWanted(() -> PictureLatents.decode(back, model.vaePart().use()));
        result = new InversionResult(seen, reconstruction, noise, RelativeError.of(back.values(), clean.values()),
                read.notices());
    }

    private <T> T whileWanted(Supplier<T> work) {
        return Wanted.get(workshop.device(), wanted, work);
    }

    private Diffusion.StepListener phase(String name) {
        return new Diffusion.StepListener() {
            @Override
            public void step(int done, int steps, Supplier<Latents> latents) {
                reports.step(name, done, steps, List::of);
            }

            @Override
            public boolean wants(int row) {
                return wanted.getAsBoolean();
            }
        };
    }
}
