package io.invadapter.engine.sampling;

import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.Influence;
import io.invadapter.engine.adapter.InfluencePlan;
import io.invadapter.engine.adapter.Layout;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.engine.unet.TextFeatures;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.unet.UNetInput;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * One denoising step for batches of one shape: its tensors and its operators, recorded once and run for every step of every
 * request of that shape. What differs between steps and requests is written into the tensors; what no step changes, the keys
 * and values of the texts, is computed when a request starts.
 */
final class DenoisingPlan implements AutoCloseable {
    /**
     * Everything that decides which operators a step consists of.
     *
     * @param influences on the pictures
     * @param registers  of {@link Walk}
     * @param noise      whether any step takes fresh noise
     * @param blended    whether parts of the pictures are kept by {@link Blending}
     */
    record Shape(Layout pictures, List<Influence.Shape> influences, int registers, boolean noise, boolean blended) {
        /** Rows of the influences' own passes. */
        int ownRows() {
            return influences.stream().mapToInt(Influence.Shape::ownRows).sum();
        }

        /** Rows of the influences in the batch of the pictures. */
        int guestRows() {
            return influences.stream().mapToInt(Influence.Shape::guestRows).sum();
        }

        /** What a register afterwards is a sum of: the registers before, both rows of the prediction and perhaps noise. */
        int terms() {
            return registers + 2 + (noise ? 1 : 0);
        }
    }

    /**
     * One part of the pictures, with the guests on their way through the network.
     *
     * @param firstPicture of the plan
     * @param firstRow     of the plan's batches, the guests' rows among them
     */
    private record Pass(Layout.Part part, int firstPicture, int firstRow, TextFeatures text, List<AttentionHook> hooks) {
        int rows() {
            return text.rows();
        }
    }

    /** A piece of a step, for some of the pictures. */
    private record Work(Device.Recording recording, int firstPicture, int pictures) {
        boolean wanted(Diffusion.StepListener listener) {
            return IntStream.range(firstPicture, firstPicture + pictures).anyMatch(listener::wants);
        }
    }

    private final Device device;
    private final UNet unet;
    private final Shape shape;
    /** Of the influences' own rows, then of the rows of the batches. */
    private final StepTimes times;
    private final PictureRows pictures;
    private final List<InfluencePlan> influences = new ArrayList<>();
    private final List<InfluencePlan.Guests> guests = new ArrayList<>();
    private final List<Pass> passes = new ArrayList<>();
    private final List<Work> works = new ArrayList<>();
    private final List<Tensor> owned = new ArrayList<>();
    private Walk walk;

    DenoisingPlan(Device device, UNet unet, Shape shape) {
        this.device = device;
        this.unet = unet;
        this.shape = shape;
        // In a scope until all of it is there: when memory runs out in between, nothing stays behind.
        try (Scope scope = device.scope()) {
            times = new StepTimes(device, unet, shape.ownRows() + shape.guestRows() + shape.pictures.rows().size());
            times.tensors().forEach(this::own);
            pictures = new PictureRows(device, unet.config(), shape, this::own);
            influence();
            divide();
            record();
            owned.forEach(device::keep);
        }
    }

    private Tensor own(Tensor tensor) {
        owned.add(tensor);
        return tensor;
    }

    private void influence() {
        int own = 0;
        int guest = 0;
        for (Influence.Shape influence : shape.influences) {
            influences.add(influence.plan(new Place(own, guest)));
            own += influence.ownRows();
            guest += influence.guestRows();
        }
        influences.stream().map(InfluencePlan::guests).filter(Objects::nonNull).forEach(guests::add);
    }

    private final class Place implements Influence.Place {
        private final int firstOwn;
        private final int firstGuest;

        Place(int firstOwn, int firstGuest) {
            this.firstOwn = firstOwn;
            this.firstGuest = firstGuest;
        }

        @Override
        public Device device() {
            return device;
        }

        @Override
        public UNet unet() {
            return unet;
        }

        @Override
        public Layout pictures() {
            return shape.pictures;
        }

        @Override
        public int batchRows() {
            return shape.guestRows() + shape.pictures.rows().size();
        }

        @Override
        public int firstGuest() {
            return firstGuest;
        }

        @Override
        public Tensor time(int first, int rows) {
            return times.of(firstOwn + first, rows);
        }

        @Override
        public Tensor own(Tensor tensor) {
            return DenoisingPlan.this.own(tensor);
        }
    }

    private void divide() {
        int picture = 0;
        int row = 0;
        for (int i = 0; i < shape.pictures.parts().size(); i++) {
            Layout.Part part = shape.pictures.parts().get(i);
            int first = row;
            int rows = part.rows() + (i == 0 ? shape.guestRows() : 0);
            TextFeatures text = unet.textFeatures(rows, part.tokens());
            text.tensors().forEach(this::own);
            int number = i;
            passes.add(new Pass(part, picture, first, text, influences.stream().map(plan -> plan.hook(number, first, rows)).toList()));
            picture += part.pictures();
            row += rows;
        }
    }

    // --- for each request -------------------------------------------------------------------------------------------

    /** @param sampling of this shape; for a network that is trained for inpainting, with what is to be repainted */
    void start(Sampling sampling) {
        walk = sampling.walk();
        pictures.start(sampling);
        times.start(scalesOfRows(sampling.guidance()));
        for (int i = 0; i < influences.size(); i++) {
            influences.get(i).start(sampling.influences().get(i));
        }
        List<float[]> texts = new ArrayList<>();
        guests.forEach(guest -> texts.addAll(guest.texts()));
        for (Layout.Row row : shape.pictures.rows()) {
            Diffusion.Guidance own = sampling.guidance().get(row.picture());
            texts.add(row.negative() ? own.negative() : own.prompt());
        }
        passes.forEach(pass -> unet.project(texts.subList(pass.firstRow, pass.firstRow + pass.rows()), pass.text));
    }

    /** What a network that takes the guidance is told: it makes the guided prediction from the prompt's row alone. */
    private float[] scalesOfRows(List<Diffusion.Guidance> guidance) {
        int others = shape.ownRows() + shape.guestRows();
        float[] scales = new float[others + guidance.size()];
        Arrays.fill(scales, 0, others, 1);
        for (int i = 0; i < guidance.size(); i++) {
            scales[others + i] = (float) guidance.get(i).scale();
        }
        return scales;
    }

    /**
     * Makes one step.
     *
     * @param step     of the walk given to {@link #start}, which come in their order
     * @param listener asked whether somebody still waits for a picture; what nobody waits for may stay behind
     * @throws CancellationException when nobody waits for any
     */
    void step(int step, Diffusion.StepListener listener) {
        // One scope for all of it: one pass of the device's pool, whatever it consists of.
        try (Scope scope = device.scope()) {
            influences.forEach(influence -> influence.before(step));
            times.embed(walk, step);
            pictures.before(step);
            for (Work work : works) {
                Wanted.run(device, () -> work.wanted(listener), work.recording::run);
            }
        }
        if (!listener.wantsAny(shape.pictures.pictures())) {
            throw new CancellationException("nobody waits for these pictures");
        }
        influences.forEach(influence -> influence.after(step));
    }

    Latents latents() {
        return Latents.download(device, pictures.latents());
    }

    // --- what is recorded -------------------------------------------------------------------------------------------

    private void record() {
        List<Runnable> own = influences.stream().flatMap(influence -> influence.passes().stream()).toList();
        int all = shape.pictures.pictures();
        try {
            if (device.prefersLargeBatches()) {
                // One recording, for each holds memory of its own.
                record(() -> {
                    own.forEach(this::inScope);
                    passes.forEach(this::run);
                }, 0, all);
            } else {
                own.forEach(pass -> record(() -> inScope(pass), 0, all));
                passes.forEach(pass -> record(() -> run(pass), pass.firstPicture, pass.part.pictures()));
            }
        } catch (RuntimeException | Error e) {
            works.forEach(work -> work.recording.close());
            throw e;
        }
    }

    private void record(Runnable work, int firstPicture, int pictures) {
        works.add(new Work(device.record(work), firstPicture, pictures));
    }

    private void inScope(Runnable pass) {
        try (Scope scope = device.scope()) {
            pass.run();
        }
    }

    private void run(Pass pass) {
        List<Tensor> latents = batch(pass, InfluencePlan.Guests::latents, pictures.latents());
        List<Tensor> canvases = pictures.canvas() == null ? List.of() : batch(pass, InfluencePlan.Guests::canvas, pictures.canvas());
        Tensor predicted = unet.forward(new UNetInput(unet.input(latents, canvases), times.of(shape.ownRows() + pass.firstRow, pass.rows()),
                pass.text, pass.hooks));
        int row = 0;
        for (InfluencePlan.Guests guest : guests(pass)) {
            int count = guest.latents().batch();
            guest.move(predicted.rows(row, count));
            row += count;
        }
        pictures.move(pass.part, pass.firstPicture, predicted.rows(row, pass.part.rows()));
    }

    /** They go with the first of the pictures. */
    private List<InfluencePlan.Guests> guests(Pass pass) {
        return pass.firstRow == 0 ? guests : List.of();
    }

    /** The guests' rows and those of the pictures, of what there is of each. */
    private List<Tensor> batch(Pass pass, Function<InfluencePlan.Guests, Tensor> ofGuests, Tensor ofPictures) {
        List<Tensor> batch = new ArrayList<>();
        guests(pass).forEach(guest -> batch.add(ofGuests.apply(guest)));
        Tensor own = ofPictures.rows(pass.firstPicture, pass.part.pictures());
        batch.add(own);
        if (pass.part.guided()) {
            batch.add(own);
        }
        return batch;
    }

    @Override
    public void close() {
        works.forEach(work -> work.recording.close());
        owned.forEach(device::release);
    }
}
