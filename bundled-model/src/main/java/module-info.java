/** A small trained model with its adapter: the default of the command line. */
module io.invadapter.bundledmodel {
    requires transitive io.invadapter.base;
    requires transitive java.desktop;

    exports io.invadapter.bundledmodel;
}
