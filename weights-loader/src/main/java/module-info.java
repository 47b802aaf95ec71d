/** Weight files: safetensors read and written, and the two layouts Stable Diffusion models come in. Depends on nothing. */
module io.invadapter.weights {
    exports io.invadapter.weights;
}
