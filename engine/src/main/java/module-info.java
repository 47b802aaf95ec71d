/** Stable Diffusion 1.x and Inv-Adapter on top of {@code io.invadapter.kernels}. Names no device. */
module io.invadapter.engine {
    requires transitive io.invadapter.weights;
    requires transitive io.invadapter.kernels;
    requires transitive java.desktop;

    exports io.invadapter.engine;
    exports io.invadapter.engine.model;
}
