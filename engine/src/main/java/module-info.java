/**
 * Stable Diffusion 1.x and Inv-Adapter on top of {@code io.invadapter.kernels}. Names no device. Nothing is {@code null} that does not
 * say so: anything else is refused where it is given, by a {@link NullPointerException} that names it.
 */
module io.invadapter.engine {
    requires transitive io.invadapter.weights;
    requires transitive io.invadapter.kernels;
    requires transitive java.desktop;

    exports io.invadapter.engine;
    exports io.invadapter.engine.model;
}
