/** A small trained model with its adapter: the default of the command line. */
module io.invadapter.bundledmodel {
    requires java.desktop;

    exports io.invadapter.bundledmodel;
}
