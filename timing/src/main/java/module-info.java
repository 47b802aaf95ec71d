/** Times whole requests to Stable Diffusion with synthetic weights, on any device: what the command {@code bench} runs. */
module io.invadapter.timing {
    requires transitive io.invadapter.engine;

    exports io.invadapter.timing;
}
