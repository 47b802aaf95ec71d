/** A program that links the library as its users do, to be started in every way there is. */
module io.invadapter.linking {
    requires io.invadapter.engine;
    requires io.invadapter.bundledmodel;
}
