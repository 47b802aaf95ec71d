/** What every other module knows: the exception they have in common, and where they unpack to. Depends on nothing. */
module io.invadapter.base {
    exports io.invadapter.base;
}
