package io.invadapter.gpucheck.first;

import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.engine.vae.VaeConfig;
import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.GroupNormPlan;
import io.invadapter.kernels.cuda.KernelLibrary;
import io.invadapter.kernels.cuda.Normalisation;
import io.invadapter.kernels.cuda.Pointwise;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.timing.MeasuringDevice;
import io.invadapter.timing.Structure;
import java.util.Arrays;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Attention, the gated layer and the operators that memory bounds, in the sizes of a step of one picture with guidance:
 * microseconds of one call, replayed from a graph, and how near that is to the ceilings. Bytes are those of operands, weights and
 * results, each once.
 */
final class Operators {
    private static final int BATCH = 2;
    /** L' of Inv-Adapter. */
    private static final int AGGREGATED = 256;
    /** Of the feed-forward layers. */
    private static final int WIDENING = 4;
    private static final float EPSILON = 1e-5f;
    private static final int MOST_WARM_UPS = 1000;
    /** Of the numbers that an array is filled with, again and again. */
    private static final int PERIOD = 1 << 20;

    private final Contact contact;
    private int arrays;

    private Operators(Contact contact) {
        this.contact = contact;
    }

    static void run(Contact contact) {
        new Operators(contact).all();
    }

    private void all() {
        Structure structure = contact.sizes().structure();
        UNetConfig unet = structure.unet();
        VaeConfig vae = structure.vae();
        int size = contact.sizes().picture() >> vae.channels().length - 1;
        for (int level = 0; level < unet.blockChannels().length; level++) {
            level(unet, level, size >> level);
        }
        int channels = vae.channels()[vae.channels().length - 1];
        attention("attention, decoder", 1, size * size, size * size, channels, 1, 0);
        int first = vae.channels()[0];
        item("group norm and SiLU, decoder", device -> {
            Tensor x = tensor(device, 1, contact.sizes().picture(), contact.sizes().picture(), first);
            Device.Norm norm = norm(device, first);
            return () -> device.groupNorm(x, norm, vae.groups(), EPSILON, true);
        });
        item("combine, a DDIM step with guidance", device -> {
            Tensor latents = floats(device, 1, size, size, unet.inChannels());
            Tensor noise = floats(device, BATCH, size, size, unet.inChannels());
            Tensor factors = device.upload(DataType.FLOAT32, new float[] {0.9f, -0.65f, 0.75f}, 1, 1, 3);
            return () -> device.combine(List.of(latents), factors, latents, noise.rows(0, 1), noise.rows(1, 1));
        });
    }

    private void level(UNetConfig unet, int level, int size) {
        int channels = unet.blockChannels()[level];
        int heads = unet.heads()[level];
        int tokens = size * size;
        String where = ", " + size + " x " + size + " x " + channels;
        attention("attention, self" + where, BATCH, tokens, tokens, channels, heads, 0);
        attention("attention, text" + where, BATCH, tokens, Structure.TEXT_TOKENS, channels, heads, 0);
        attention("attention, self, with identity" + where, BATCH, tokens, tokens, channels, heads, tokens);
        attention("attention, text, with identity" + where, BATCH, tokens, Structure.TEXT_TOKENS, channels, heads,
                Math.min(AGGREGATED, tokens));
        item("group norm and SiLU" + where, device -> {
            Tensor x = tensor(device, BATCH, size, size, channels);
            Device.Norm norm = norm(device, channels);
            return () -> device.groupNorm(x, norm, unet.groups(), EPSILON, true);
        });
        groupNorm("in one launch", where, tokens, channels, unet.groups(), (map, chip) -> GroupNormPlan.OneLaunch.of(map, 1, chip));
        groupNorm("in two launches", where, tokens, channels, unet.groups(), GroupNormPlan.TwoLaunches::of);
        item("layer norm" + where, device -> {
            Tensor x = tensor(device, BATCH, tokens, channels);
            Device.Norm norm = norm(device, channels);
            return () -> device.layerNorm(x, norm, EPSILON);
        });
        item("group norm and SiLU of two maps side by side" + where, device -> {
            Tensor a = tensor(device, BATCH, size, size, channels);
            Tensor b = tensor(device, BATCH, size, size, channels);
            Device.Norm norm = norm(device, 2 * channels);
            return () -> device.joinedGroupNorm(a, b, norm, unet.groups(), EPSILON, true);
        });
        gated(where, tokens, channels);
        item("upsample" + where, device -> {
            Tensor x = tensor(device, BATCH, size, size, channels);
            return () -> device.upsample2x(x, 2 * size, 2 * size);
        });
    }

    /** In one of the ways between which a model decides. */
    private void groupNorm(String way, String where, int tokens, int channels, int groups,
                           BiFunction<GroupNormPlan.Map, GroupNormPlan.Chip, GroupNormPlan> planner) {
        DataType type = DataType.FLOAT16;
        long values = (long) BATCH * tokens * channels;
        kernel("group norm and SiLU " + way + where, 0, 2.0 * values * type.bytes(), (kernels, memory) -> {
            Normalisation norms = new Normalisation(kernels);
            GroupNormPlan.Map map = new GroupNormPlan.Map(BATCH, tokens, channels, channels, groups, type.bytes(), 16);
            GroupNormPlan plan = planner.apply(map, norms.chip());
            if (plan == null) {
                return null;
            }
            long x = memory.known(0, type, values);
            long scale = memory.known(1, type, channels);
            long shift = memory.known(2, type, channels);
            long y = memory.room(values * type.bytes());
            long workspace = memory.room(norms.groupNormWorkspaceBytes());
            contact.driver().fill(workspace, (byte) 0, norms.groupNormWorkspaceBytes());
            return stream -> norms.groupNorm(plan, map, x, 0, 0, scale, shift, y, workspace, EPSILON, true, stream);
        });
    }

    /** The gated feed-forward's first half, and GEGLU by itself, as it ends it. */
    private void gated(String where, int tokens, int channels) {
        int rows = BATCH * tokens;
        int inner = WIDENING * channels;
        DataType type = DataType.FLOAT16;
        long size = type.bytes();
        item("layer norm, product and GEGLU" + where, device -> {
            Tensor x = tensor(device, BATCH, tokens, channels);
            Device.Norm norm = norm(device, channels);
            Device.GatedLinear gated = device.packer().gatedLinear(HostTensor.of(values(2 * inner * channels), 2 * inner, channels),
                    HostTensor.of(values(2 * inner), 2 * inner), null);
            return () -> device.gatedLinear(device.layerNorm(x, norm, EPSILON), gated);
        });
        kernel("GEGLU with bias" + where, 0, size * 3 * rows * inner, (kernels, memory) -> {
            long x = memory.known(0, type, 2L * rows * inner);
            long bias = memory.known(1, type, 2L * inner);
            long y = memory.room(size * rows * inner);
            Pointwise pointwise = new Pointwise(kernels);
            return stream -> pointwise.geglu(x, bias, y, rows, inner, stream);
        });
    }

    private void attention(String name, int batch, int tokens, int keys, int channels, int heads, int identityTokens) {
        item(name, device -> {
            Tensor q = tensor(device, batch, tokens, channels);
            Tensor k = tensor(device, batch, keys, channels);
            Tensor v = tensor(device, batch, keys, channels);
            List<Source> sources = new ArrayList<>(List.of(Source.of(k, v)));
            if (identityTokens > 0) {
                sources.add(new Source(tensor(device, 1, identityTokens, channels), tensor(device, 1, identityTokens, channels),
                        device.upload(new int[batch]), ones(device, batch)));
            }
            return () -> device.attention(q, sources, heads, false);
        });
    }

    /** @param prepare makes the operands and returns the call */
    private void item(String name, Function<Device, Runnable> prepare) {
        contact.item(name, contact.sizes().limit(), () -> {
            Device device = contact.device(Precision.FP16);
            MeasuringDevice measuring = new MeasuringDevice(device);
            measuring.attendingRows(BATCH);
            try (Scope scope = device.scope()) {
                arrays = 0;
                Runnable call = prepare.apply(measuring);
                measuring.reset();
                call.run();
                double operations = measuring.operations();
                double bytes = measuring.totals().values().stream().mapToDouble(MeasuringDevice.Total::bytes).sum();
                measuring.measure(false);
                double microseconds = microseconds(device, call);
                return timed(microseconds, operations, bytes);
            }
        });
    }

    /** @param prepare makes the operands and returns the launch, null where the kernel does not serve such sizes */
    private void kernel(String name, double operations, double bytes,
                        BiFunction<KernelLibrary, OnDevice, Consumer<CudaDriver.Stream>> prepare) {
        contact.item(name, contact.sizes().limit(), () -> {
            try (OnDevice memory = new OnDevice(contact.driver())) {
                Consumer<CudaDriver.Stream> launch = prepare.apply(contact.kernels(DataType.FLOAT16), memory);
                return launch == null ? Outcome.skipped("the kernel does not serve such sizes")
                        : timed(contact.microseconds(launch), operations, bytes);
            }
        });
    }

    private static Outcome timed(double microseconds, double operations, double bytes) {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("us", microseconds);
        data.put("operations", operations);
        data.put("bytes", bytes);
        return Outcome.of(true, String.format(Locale.ROOT, "%.1f us, %.0f GB/s, %.1f TFLOP/s", microseconds,
                bytes / microseconds / 1e3, operations / microseconds / 1e6), data);
    }

    private double microseconds(Device device, Runnable call) {
        Sizes.Timing timing = contact.sizes().timing();
        try (Device.Recording recording = device.record(() -> {
            for (int i = 0; i < timing.calls(); i++) {
                try (Scope scope = device.scope()) {
                    call.run();
                }
            }
        })) {
            // Called, then recorded.
            recording.run();
            recording.run();
            double warm = 0;
            for (int i = 0; i < MOST_WARM_UPS && warm < timing.warmUp(); i++) {
                warm += milliseconds(device, recording);
            }
            double least = Double.POSITIVE_INFINITY;
            for (int i = 0; i < timing.samples(); i++) {
                least = Math.min(least, milliseconds(device, recording));
            }
            return least * 1e3 / timing.calls();
        }
    }

    private static double milliseconds(Device device, Device.Recording recording) {
        try (Device.Mark before = device.mark()) {
            recording.run();
            try (Device.Mark after = device.mark()) {
                return after.millisecondsSince(before);
            }
        }
    }

    private Tensor tensor(Device device, int... shape) {
        return filled(device, device.precision().type(), shape);
    }

    private Tensor floats(Device device, int... shape) {
        return filled(device, DataType.FLOAT32, shape);
    }

    /** In the scope of the item. */
    private Tensor filled(Device device, DataType type, int... shape) {
        return device.upload(type, values(Arrays.stream(shape).reduce(1, Math::multiplyExact)), shape);
    }

    private float[] values(int count) {
        float[] values = new float[count];
        int period = Math.min(PERIOD, count);
        for (int i = 0; i < period; i++) {
            values[i] = OnDevice.known(arrays, i);
        }
        for (int done = period; done < count; done += period) {
            System.arraycopy(values, 0, values, done, Math.min(period, count - done));
        }
        arrays++;
        return values;
    }

    private static Tensor ones(Device device, int count) {
        float[] values = new float[count];
        Arrays.fill(values, 1);
        return device.upload(DataType.FLOAT32, values, count);
    }

    private static Device.Norm norm(Device device, int channels) {
        float[] scale = new float[channels];
        Arrays.fill(scale, 1);
        return device.packer().norm(HostTensor.of(scale, channels), HostTensor.of(new float[channels], channels));
    }
}
