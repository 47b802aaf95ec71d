/** Times whole requests to Stable Diffusion with synthetic weights, on any device. */
module io.invadapter.bench {
    requires transitive io.invadapter.engine;

    exports io.invadapter.bench;
}
