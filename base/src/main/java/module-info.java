/** What every other module knows: the exception they have in common, where they unpack to, and how a file is written. Depends on nothing. */
module io.invadapter.base {
    exports io.invadapter.base;
}
