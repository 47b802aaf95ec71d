package io.invadapter.engine.adapter.eaa;

import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.Influence;
import io.invadapter.engine.adapter.InfluencePlan;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.List;

/** The faces' own latents, which take their way beside the pictures: without guidance, by DDIM. */
final class FaceRows implements InfluencePlan.Guests {
    private final Device device;
    private final Tensor latents;
    private final Tensor canvas;
    /** {@code [1, 1, 2]}: of the latents and of what is predicted for them. */
    private final Tensor move;
    private Sampling faces;

    FaceRows(IdentityShape shape, Influence.Place place) {
        device = place.device();
        UNetConfig config = place.unet().config();
        int channels = config.outChannels();
        int given = config.inChannels() - channels;
        latents = place.own(device.allocate(DataType.FLOAT32, shape.count(), shape.height(), shape.width(), channels));
        canvas = given == 0 ? null
                : place.own(device.allocate(device.precision().type(), shape.count(), shape.height(), shape.width(), given));
        move = place.own(device.allocate(DataType.FLOAT32, 1, 1, 2));
    }

    void start(Sampling way) {
        faces = way;
        device.write(latents, way.start().channelsLast());
        if (canvas != null) {
            device.write(canvas, way.inpainting().canvas().channelsLast());
        }
    }

    void before(int step) {
        double[] factors = faces.walk().steps().get(step).move()[0];
        device.write(move, new float[] {(float) factors[0], (float) factors[1]});
    }

    boolean isLast(int step) {
        return step + 1 == faces.walk().steps().size();
    }

    Latents download() {
        return Latents.download(device, latents);
    }

    @Override
    public Tensor latents() {
        return latents;
    }

    @Override
    public Tensor canvas() {
        return canvas;
    }

    @Override
    public List<float[]> texts() {
        return faces.guidance().stream().map(Diffusion.Guidance::prompt).toList();
    }

    @Override
    public void move(Tensor predicted) {
        move(0, predicted);
    }

    /** Those from number {@code first} on. */
    void move(int first, Tensor predicted) {
        Tensor own = latents.rows(first, predicted.batch());
        device.combine(List.of(own), move, own, predicted);
    }
}
