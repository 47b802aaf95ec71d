/** What every other module knows: the exception they have in common. Depends on nothing. */
module io.invadapter.base {
    exports io.invadapter.base;
}
