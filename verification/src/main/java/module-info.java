/** Compares what a device computes with golden data from the reference implementation. */
module io.invadapter.verification {
    requires transitive io.invadapter.engine;

    exports io.invadapter.verification;
}
