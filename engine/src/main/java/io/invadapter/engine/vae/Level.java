package io.invadapter.engine.vae;

import io.invadapter.engine.nn.ResnetBlock;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BinaryOperator;

/**
 * Layers of a {@link Vae} in a row, over maps {@code [1, H, W, C]}: at once, or where that takes more memory than there is, in strips of
 * rows. A strip is computed with as many rows more on either side as its convolutions look at, and with group norms whose statistics are
 * those of the whole map: they are gathered before, a norm after the other, by a pass through all that comes before it. So the result
 * is the same up to rounding, which tiles that are blended into each other (diffusers' {@code enable_vae_tiling}) cannot be; and the
 * memory is that of the input, of the result and of one strip. Where there is room for the maps between them, its blocks are computed
 * so one after the other, which saves passes: those of a block go through it alone.
 */
final class Level {
    /** Rows of the input that are not worth cutting further. */
    private static final int FEWEST_ROWS = 8;

    private final Device device;
    private final int groups;
    private final float epsilon;
    private final List<Layer> layers = new ArrayList<>();

    private sealed interface Layer {
    }

    /** A group norm with SiLU. @param opens a block, which is given its input again at its end */
    private record GroupNorm(Device.Norm weights, boolean opens) implements Layer {
    }

    /**
     * @param margin   rows above and below that a row of the result depends on, before it is halved or after it is doubled
     * @param rows     of the result for two of the input: 4, 2 or 1
     * @param channels of the result
     * @param closes   a block
     * @param work     on a map and the block's input
     */
    private record Convolution(int margin, int rows, int channels, boolean closes, BinaryOperator<Tensor> work) implements Layer {
    }

    /** Takes rows of the result, the first of which is row {@code from} of all. */
    interface Rows {
        void accept(int from, Tensor rows);
    }

    Level(Device device, int groups, float epsilon) {
        this.device = device;
        this.groups = groups;
        this.epsilon = epsilon;
    }

    // --- layers -----------------------------------------------------------------------------------------------------

    Level norm(Device.Norm weights) {
        layers.add(new GroupNorm(weights, false));
        return this;
    }

    Level resnet(ResnetBlock block) {
        int channels = block.norm2().channels();
        layers.add(new GroupNorm(block.norm1(), true));
        layers.add(new Convolution(1, 2, channels, false, (h, x) -> block.inner(h, null)));
        layers.add(new GroupNorm(block.norm2(), false));
        layers.add(new Convolution(1, 2, channels, true, block::outer));
        return this;
    }

    /** One that leaves the size as it is. */
    Level convolution(Device.Convolution weights) {
        layers.add(new Convolution(weights.kernelHeight() / 2, 2, weights.outChannels(), false,
                (h, x) -> device.conv2d(h, weights, null, null)));
        return this;
    }

    /** One over a map of twice the size. */
    Level doubling(Device.Convolution weights) {
        layers.add(new Convolution(1, 4, weights.outChannels(), false,
                (h, x) -> device.conv2d(device.upsample2x(h, 2 * h.size(1), 2 * h.size(2)), weights, null, null)));
        return this;
    }

    /** One of 3x3 over every second position, padded on the right and below. */
    Level halving(Device.Convolution weights) {
        layers.add(new Convolution(0, 1, weights.outChannels(), false, (h, x) -> device.conv2d(h, weights, null, null)));
        return this;
    }

    // --- memory -----------------------------------------------------------------------------------------------------

    /** Bytes that the layers hold at most over a map of this size, it included: maps, not what a device needs to compute them. */
    long bytes(int height, int width, int channels) {
        long current = (long) height * width * channels;
        long positions = 2L * height * width;
        long block = 0;
        long most = current;
        for (Layer layer : layers) {
            switch (layer) {
                case GroupNorm norm -> {
                    most = Math.max(most, block + 2 * current);
                    block = norm.opens ? current : block;
                }
                case Convolution convolution -> {
                    // Two rows of the input are 4, 2 or 1, and so are two columns.
                    positions = positions * convolution.rows * convolution.rows / 4;
                    long result = positions / 2 * convolution.channels;
                    long enlarged = convolution.rows == 4 ? 4 * current : 0;
                    long shortcut = convolution.closes && block != result ? result : 0;
                    most = Math.max(most, block + current + enlarged + shortcut + result);
                    block = convolution.closes ? 0 : block;
                    current = result;
                }
            }
        }
        return most * device.precision().type().bytes();
    }

    /** The same when they are computed in as narrow strips as is worth it. */
    long leastBytes(int height, int width, int channels) {
        long whole = bytes(height, width, channels);
        return !canBeCut() ? whole
                : Math.min(whole, stripBytes(height, width, channels, mostStrips(height)));
    }

    private boolean canBeCut() {
        return layers.stream().allMatch(layer -> !(layer instanceof GroupNorm norm) || norm.weights.channels() % 8 == 0) && groups <= 64;
    }

    private static int mostStrips(int height) {
        return Math.max(1, height / FEWEST_ROWS);
    }

    /** Of the input, the result and a strip. */
    private long stripBytes(int height, int width, int channels, int strips) {
        int[] heights = heights(height);
        int last = layers.size();
        int rows = heights[last] / strips + 1;
        // A strip in the middle has all its margins.
        int from = Math.min(rows, heights[last] - 1);
        int[] needed = needed(last, from, Math.min(heights[last], from + rows), heights);
        long result = (long) heights[last] * (heights[last] * (long) width / height) * outChannels();
        return ((long) height * width * channels + result) * device.precision().type().bytes()
                + bytes(needed[1] - needed[0], width, channels);
    }

    private int outChannels() {
        return ((Convolution) layers.getLast()).channels;
    }

    // --- computing --------------------------------------------------------------------------------------------------

    /** @param scope the current one, which the result is in; {@code x} is released if it is in it too */
    Tensor forward(Scope scope, Tensor x) {
        int strips = strips(x);
        if (strips == 1) {
            return through(scope, x, layers.size(), null);
        }
        List<Level> blocks = blocks(x);
        if (!blocks.isEmpty()) {
            Tensor h = x;
            for (Level block : blocks) {
                h = block.forward(scope, h);
            }
            return h;
        }
        int[] heights = heights(x.size(1));
        int height = heights[layers.size()];
        int width = x.size(2) * height / x.size(1);
        int channels = outChannels();
        Tensor result = device.allocate(x.type(), 1, height, width, channels);
        inStrips(x, strips, (from, rows) -> device.copy(rows, result.part((long) from * width * channels, rows.shape())));
        scope.release(x);
        return result;
    }

    /** The same for a result that need not be on the device as a whole. */
    void forward(Scope scope, Tensor x, Rows target) {
        int strips = strips(x);
        List<Level> blocks = strips == 1 ? List.of() : blocks(x);
        if (strips == 1) {
            target.accept(0, through(scope, x, layers.size(), null));
        } else if (blocks.isEmpty()) {
            inStrips(x, strips, target);
        } else {
            Tensor h = x;
            for (Level block : blocks.subList(0, blocks.size() - 1)) {
                h = block.forward(scope, h);
            }
            blocks.getLast().forward(scope, h, target);
        }
    }

    /** The layers in as short pieces as there is room for, each in narrow strips; none when that is all of them. */
    private List<Level> blocks(Tensor x) {
        List<Level> blocks = new ArrayList<>();
        long room = room() + x.bytes();
        Level piece = new Level(device, groups, epsilon);
        int[] start = {x.size(1), x.size(2), x.channels()};
        int[] end = start;
        boolean open = false;
        for (Layer layer : layers) {
            piece.layers.add(layer);
            switch (layer) {
                case GroupNorm norm -> open |= norm.opens;
                case Convolution convolution -> {
                    end = new int[] {end[0] * convolution.rows / 2, end[1] * convolution.rows / 2, convolution.channels};
                    open &= !convolution.closes;
                    if (!open && piece.leastBytes(start[0], start[1], start[2]) <= room) {
                        blocks.add(piece);
                        piece = new Level(device, groups, epsilon);
                        start = end;
                    }
                }
            }
        }
        return blocks.size() == 1 || !piece.layers.isEmpty() ? List.of() : blocks;
    }

    /** What maps may take: there is a quarter more for what the device itself needs. */
    private long room() {
        return device.reachableMemory() / 5 * 4;
    }

    /** How many strips there is memory for. */
    private int strips(Tensor x) {
        int height = x.size(1);
        int width = x.size(2);
        int channels = x.channels();
        // What x takes is not among what can be had any more.
        long room = room();
        if (bytes(height, width, channels) - x.bytes() <= room || !canBeCut()) {
            return 1;
        }
        int most = mostStrips(height);
        int strips = Math.min(2, most);
        while (strips < most && stripBytes(height, width, channels, strips) - x.bytes() > room) {
            strips++;
        }
        return strips;
    }

    private void inStrips(Tensor x, int strips, Rows target) {
        int[] heights = heights(x.size(1));
        List<Tensor> statistics = new ArrayList<>();
        for (int i = 0; i < layers.size(); i++) {
            if (layers.get(i) instanceof GroupNorm) {
                GroupStatistics all = new GroupStatistics(groups);
                strips(x, i, strips, heights, statistics,
                        (from, rows) -> all.add(device.download(device.groupStatistics(rows, groups, 0)), rows.positions()));
                statistics.add(all.upload(device, epsilon));
            }
        }
        strips(x, layers.size(), strips, heights, statistics, target);
    }

    /** The map before layer {@code count}, strip by strip. */
    private void strips(Tensor x, int count, int strips, int[] heights, List<Tensor> statistics, Rows target) {
        int height = heights[count];
        for (int i = 0; i < strips; i++) {
            int from = Math.toIntExact((long) height * i / strips);
            int to = Math.toIntExact((long) height * (i + 1) / strips);
            if (from == to) {
                continue;
            }
            int[] needed = needed(count, from, to, heights);
            try (Scope scope = device.scope()) {
                Tensor strip = x.part((long) needed[0] * x.size(2) * x.channels(), 1, needed[1] - needed[0], x.size(2), x.channels());
                Tensor h = through(scope, strip, count, statistics);
                // Rows that saw a strip's edge where the map goes on are wrong: no others than those left out here.
                int first = from - (int) ((long) needed[0] * height / heights[0]);
                target.accept(from, h.part((long) first * h.size(2) * h.channels(), 1, to - from, h.size(2), h.channels()));
            }
        }
    }

    /** Rows of the input, the first and the one after the last, that rows of the map before layer {@code count} depend on. */
    private int[] needed(int count, int from, int to, int[] heights) {
        int first = from;
        int end = to;
        for (int i = count - 1; i >= 0; i--) {
            if (layers.get(i) instanceof Convolution convolution) {
                first -= convolution.margin;
                end += convolution.margin;
                if (convolution.rows == 4) {
                    first = Math.floorDiv(first, 2);
                    end = Math.ceilDiv(end, 2);
                } else if (convolution.rows == 1) {
                    first = 2 * first;
                    end = 2 * end + 1;
                }
                first = Math.max(0, first);
                end = Math.min(heights[i], end);
            }
        }
        // Halving begins with an even row.
        return new int[] {first & ~1, end};
    }

    /** Of the input and after each layer. */
    private int[] heights(int height) {
        int[] heights = new int[layers.size() + 1];
        heights[0] = height;
        for (int i = 0; i < layers.size(); i++) {
            heights[i + 1] = layers.get(i) instanceof Convolution convolution ? heights[i] * convolution.rows / 2 : heights[i];
        }
        return heights;
    }

    /** The first {@code count} layers. @param statistics of each norm, or {@code null} for those of {@code x} itself */
    private Tensor through(Scope scope, Tensor x, int count, List<Tensor> statistics) {
        Tensor h = x;
        Tensor block = null;
        int norms = 0;
        for (Layer layer : layers.subList(0, count)) {
            try (Scope own = device.scope()) {
                Tensor next;
                switch (layer) {
                    case GroupNorm norm -> {
                        next = own.keep(statistics == null ? device.groupNorm(h, norm.weights, groups, epsilon, true)
                                : device.groupNorm(h, norm.weights, statistics.get(norms), true));
                        norms++;
                        if (norm.opens) {
                            block = h;
                        } else {
                            scope.release(h);
                        }
                    }
                    case Convolution convolution -> {
                        next = own.keep(convolution.work.apply(h, block));
                        scope.release(h);
                        if (convolution.closes) {
                            scope.release(block);
                        }
                    }
                }
                h = next;
            }
        }
        return h;
    }
}
