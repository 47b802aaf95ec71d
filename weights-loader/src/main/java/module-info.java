/** Weight files: safetensors read and written, and the two layouts Stable Diffusion models come in. Nothing may be {@code null}. */
module io.invadapter.weights {
    requires transitive io.invadapter.base;
    requires org.snakeyaml.engine;

    exports io.invadapter.weights;
    exports io.invadapter.weights.json;
    exports io.invadapter.weights.model;
    exports io.invadapter.weights.safetensors;
}
