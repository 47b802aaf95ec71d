package io.invadapter.engine.sampling;

/**
 * A way from noise to picture. Every sampler is linear in latents, history, the network's output and fresh noise, so all that it does
 * is computed ahead, as numbers. {@link Samplers} knows them by name.
 */
public interface Sampler {

    /** As stable-diffusion-webui calls it. */
    String name();

    /**
     * @param steps    as users count them: some samplers call the network twice in each
     * @param strength 1 for all steps; of a picture's way to another only the last {@code (int) (steps * strength)} are run
     * @throws io.invadapter.base.InvalidRequestException for a number of steps that the schedule or the sampler cannot do, or of which
     *     {@code strength} leaves none
     */
    Walk walk(NoiseSchedule schedule, int steps, double strength);
}
