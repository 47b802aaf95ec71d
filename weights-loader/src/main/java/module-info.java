/** Weight files: safetensors read and written, and the two layouts Stable Diffusion models come in. */
module io.invadapter.weights {
    requires transitive io.invadapter.base;
    requires org.snakeyaml.engine;

    exports io.invadapter.weights;
}
