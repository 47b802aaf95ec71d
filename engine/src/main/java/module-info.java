/**
 * Stable Diffusion 1.x and 2.x and Inv-Adapter on top of {@code io.invadapter.kernels}. Names no device. Nothing is {@code null} that does not
 * say so: anything else is refused where it is given, by a {@link NullPointerException} that names it.
 */
// The modules that compare and measure are built later.
@SuppressWarnings("module")
module io.invadapter.engine {
    requires transitive io.invadapter.weights;
    requires transitive io.invadapter.kernels;
    requires transitive java.desktop;

    exports io.invadapter.engine;
    exports io.invadapter.engine.picture;
    exports io.invadapter.engine.pipeline;
    exports io.invadapter.engine.request;

    // The networks and loops themselves, for those who compare and measure them.
    exports io.invadapter.engine.adapter to io.invadapter.verification, io.invadapter.timing;
    exports io.invadapter.engine.adapter.eaa to io.invadapter.verification, io.invadapter.timing;
    exports io.invadapter.engine.model to io.invadapter.verification, io.invadapter.timing;
    exports io.invadapter.engine.nn to io.invadapter.verification, io.invadapter.timing;
    exports io.invadapter.engine.sampling to io.invadapter.verification, io.invadapter.timing;
    exports io.invadapter.engine.text to io.invadapter.verification, io.invadapter.timing;
    exports io.invadapter.engine.unet to io.invadapter.verification, io.invadapter.timing;
    exports io.invadapter.engine.vae to io.invadapter.verification, io.invadapter.timing;
}
