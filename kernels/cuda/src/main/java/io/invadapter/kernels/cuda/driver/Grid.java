package io.invadapter.kernels.cuda.driver;

/**
 * The number of blocks of a launch in each direction.
 *
 * @param x 1 to 2^31 - 1
 * @param y 1 to 65535
 * @param z 1 to 65535
 */
public record Grid(int x, int y, int z) {
    private static final int MOST = 65535;

    /**
     * Checks the device's limits.
     *
     * @throws IllegalArgumentException beyond them
     */
    public Grid {
        if (x < 1 || y < 1 || z < 1 || y > MOST || z > MOST) {
            throw new IllegalArgumentException("grid is " + x + " x " + y + " x " + z
                    + "; each size must be at least 1, the second and third at most " + MOST);
        }
    }

    /**
     * Blocks in a row, {@code perBlock} items to each.
     *
     * @throws IllegalArgumentException when there are no items, or too many for one launch
     */
    public static Grid of(long items, int perBlock) {
        long blocks = Math.ceilDiv(items, perBlock);
        if (blocks < 1 || blocks > Integer.MAX_VALUE / perBlock) {
            throw new IllegalArgumentException("items is " + items + ", expected 1 to " + Integer.MAX_VALUE
                    + " in one launch");
        }
        return new Grid((int) blocks, 1, 1);
    }
}
