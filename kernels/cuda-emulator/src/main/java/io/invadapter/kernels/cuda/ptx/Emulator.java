package io.invadapter.kernels.cuda.ptx;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;

/**
 * An emulated device: memory and launches. See the package description for what it checks and counts.
 *
 * <p>Calls from several threads must not overlap. A launch returns when the kernel has finished; its CTAs run on several
 * threads.
 */
public final class Emulator implements AutoCloseable {
    private static final long DEFAULT_LOOP_LIMIT = 1L << 22;
    private static final int MAX_SHARED_BYTES = 227 * 1024;

    private final GlobalMemory memory;
    private final Map<PtxModule, Map<String, Long>> modules = new IdentityHashMap<>();
    private final int workers;
    private final boolean checked;
    private final boolean blank;
    private final ExecutorService pool;
    private long loopLimit = DEFAULT_LOOP_LIMIT;

    /** A device whose CTAs run on as many threads as there are processors. */
    public Emulator() {
        this(Runtime.getRuntime().availableProcessors());
    }

    /** A device whose CTAs run on that many threads. With one thread CTAs run in order. */
    public Emulator(int workers) {
        this(workers, true, false);
    }

    /**
     * A device that looks for no races and counts nothing but instructions: for tests of whole models, whose kernels others
     * have checked. Reads of never-written memory and accesses outside of it are still found.
     */
    public static Emulator unchecked() {
        return new Emulator(Runtime.getRuntime().availableProcessors(), false, false);
    }

    /**
     * A device whose memory has addresses and sizes and no content, so that it may be any amount: for whoever counts what it is given
     * and has none of it done. All that is read from it is zero; it cannot launch anything.
     */
    public static Emulator blank() {
        return new Emulator(1, false, true);
    }

    private Emulator(int workers, boolean checked, boolean blank) {
        this.workers = workers;
        this.checked = checked;
        this.blank = blank;
        this.memory = new GlobalMemory(blank);
        this.pool = Executors.newFixedThreadPool(workers, task -> {
            Thread t = new Thread(task, "ptx-emulator");
            t.setDaemon(true);
            return t;
        });
    }

    /** Whether it looks for races and counts accesses. */
    public boolean checks() {
        return checked;
    }

    /** Whether its memory has no content. */
    public boolean isBlank() {
        return blank;
    }

    // ---- memory ------------------------------------------------------------------------------------------------

    /** New memory, never written, aligned to 512 bytes, with unowned addresses on both sides. */
    public long allocate(long bytes) {
        return memory.allocate(bytes, false).base;
    }

    /** Frees an allocation, given by its start. */
    public void free(long address) {
        memory.free(address);
    }

    /** Copies to the device. */
    public void write(long address, MemorySegment source, long bytes) {
        Allocation a = range(address, bytes, "write");
        if (blank) {
            return;
        }
        int offset = (int) (address - a.base);
        MemorySegment.copy(source, 0, MemorySegment.ofArray(a.data), offset, bytes);
        Arrays.fill(a.shadow, offset, (int) (offset + bytes), (byte) Allocation.INITIALIZED);
    }

    /**
     * Copies from the device.
     *
     * @throws PtxException when one of the bytes was never written
     */
    public void read(MemorySegment target, long address, long bytes) {
        read(target, address, bytes, true);
    }

    /** Copies from the device; never-written bytes are an error, or zeros when {@code mustBeWritten} is false. */
    public void read(MemorySegment target, long address, long bytes, boolean mustBeWritten) {
        Allocation a = range(address, bytes, "read");
        if (blank) {
            target.asSlice(0, bytes).fill((byte) 0);
            return;
        }
        int offset = (int) (address - a.base);
        if (mustBeWritten) {
            int end = offset + (int) bytes;
            for (int i = offset; i < end; i++) {
                // Mostly all are written: eight at a time until one is found that is not.
                while (i + 8 <= end && Bytes.allHave(a.shadow, i, 8, Allocation.INITIALIZED)) {
                    i += 8;
                }
                if (i < end && (a.shadow[i] & Allocation.INITIALIZED) == 0) {
                    throw new PtxException("read of " + memory.describe(address, (int) bytes) + ": byte "
                            + i + " of the allocation was never written");
                }
            }
        }
        MemorySegment.copy(MemorySegment.ofArray(a.data), offset, target, 0, bytes);
    }

    /** Sets every byte. */
    public void fill(long address, byte value, long bytes) {
        Allocation a = range(address, bytes, "fill");
        if (blank) {
            return;
        }
        int offset = (int) (address - a.base);
        Arrays.fill(a.data, offset, (int) (offset + bytes), value);
        Arrays.fill(a.shadow, offset, (int) (offset + bytes), (byte) Allocation.INITIALIZED);
    }

    /** Copies within the device, whether written or not, as a copy does. */
    public void copy(long target, long source, long bytes) {
        Allocation from = range(source, bytes, "copy from");
        Allocation to = range(target, bytes, "copy to");
        if (Math.abs(target - source) < bytes) {
            throw new PtxException("copy of " + bytes + " bytes between parts of " + memory.describe(target, (int) bytes)
                    + " that overlap");
        }
        if (blank) {
            return;
        }
        int fromOffset = (int) (source - from.base);
        int toOffset = (int) (target - to.base);
        System.arraycopy(from.data, fromOffset, to.data, toOffset, (int) bytes);
        System.arraycopy(from.shadow, fromOffset, to.shadow, toOffset, (int) bytes);
    }

    /** Makes these bytes never written, as they are after {@link #allocate}. */
    public void poison(long address, long bytes) {
        Allocation a = range(address, bytes, "poison");
        if (blank) {
            return;
        }
        int offset = (int) (address - a.base);
        Arrays.fill(a.data, offset, (int) (offset + bytes), (byte) 0);
        Arrays.fill(a.shadow, offset, (int) (offset + bytes), (byte) 0);
    }

    private Allocation range(long address, long bytes, String what) {
        Allocation a = bytes < 0 || bytes > Integer.MAX_VALUE ? null : memory.nearest(address);
        if (a == null || a.freed || !a.contains(address, (int) bytes)) {
            throw new PtxException(what + " of " + bytes + " bytes at 0x" + Long.toHexString(address)
                    + ": not inside one live allocation");
        }
        return a;
    }

    /** The device address of a {@code __device__} or {@code __constant__} variable. */
    public long address(PtxModule module, String variable) {
        Long address = variables(module).get(variable);
        if (address == null) {
            throw new PtxException("no variable " + variable);
        }
        return address;
    }

    /** The addresses of a module's variables, which come into being at its first use on this device. */
    private Map<String, Long> variables(PtxModule module) {
        return modules.computeIfAbsent(module, m -> {
            Map<String, Long> addresses = new HashMap<>();
            for (Variable v : m.deviceVariables()) {
                Allocation a = memory.allocate(v.bytes(), v.space().equals("const"));
                if (v.content() != null) {
                    System.arraycopy(v.content(), 0, a.data, 0, v.content().length);
                }
                // Variables without an initial value are zero.
                Arrays.fill(a.shadow, 0, a.bytes, (byte) Allocation.INITIALIZED);
                addresses.put(v.name(), a.base);
            }
            return addresses;
        });
    }

    // ---- launches ----------------------------------------------------------------------------------------------

    /**
     * How many times a warp may branch backwards before the launch is stopped as an endless loop.
     */
    public void loopLimit(long iterations) {
        loopLimit = iterations;
    }

    /**
     * Runs a kernel to its end.
     *
     * @param parameters the parameters, packed as {@link Kernel#parameterLayout()} says, little-endian
     * @return what was counted
     * @throws PtxFault     when the kernel does something wrong; memory is then in the state of that moment
     * @throws PtxException when the launch itself is wrong
     */
    public Counters launch(Kernel kernel, Dim grid, Dim block, int dynamicSharedBytes, byte[] parameters) {
        check(kernel, grid, block, dynamicSharedBytes, parameters);
        Map<String, Long> addresses = variables(kernel.module);
        int[] words = new int[kernel.words];
        long[] longs = new long[kernel.longs];
        kernel.wordConstants.forEach((row, v) -> Arrays.fill(words, row, row + Warp.LANES, v));
        kernel.longConstants.forEach((row, v) -> Arrays.fill(longs, row, row + Warp.LANES, v));
        for (Kernel.Relocation r : kernel.relocations) {
            Arrays.fill(longs, r.row(), r.row() + Warp.LANES, addresses.get(r.variable()) + r.offset());
        }
        Launch launch = new Launch(kernel, grid, block, dynamicSharedBytes, parameters.clone(), memory, words, longs,
                loopLimit, checked);
        long[] unique = new long[2];
        List<Tally[]> tallies;
        try {
            tallies = run(launch);
        } finally {
            memory.endLaunch(unique);
        }
        return new Counters(kernel, tallies, unique[0], unique[1]);
    }

    private static void check(Kernel kernel, Dim grid, Dim block, int dynamicSharedBytes, byte[] parameters) {
        String problem = null;
        if (grid.x() < 1 || grid.y() < 1 || grid.z() < 1 || grid.y() > 65535 || grid.z() > 65535
                || grid.count() > Allocation.MAX_CTAS) {
            problem = "grid " + grid;
        } else if (block.x() < 1 || block.y() < 1 || block.z() < 1 || block.z() > 64 || block.count() > 1024
                || block.count() > kernel.maxThreads || kernel.exactThreads && block.count() != kernel.maxThreads) {
            problem = "block " + block + " (the kernel's bound is " + kernel.maxThreads + " threads)";
        } else if (dynamicSharedBytes < 0 || kernel.sharedBytes + dynamicSharedBytes > MAX_SHARED_BYTES) {
            problem = kernel.sharedBytes + " + " + dynamicSharedBytes + " bytes of shared memory";
        } else if (parameters.length != kernel.parameterBytes()) {
            problem = parameters.length + " bytes of parameters, the kernel takes " + kernel.parameterBytes();
        }
        if (problem != null) {
            throw new PtxException("launch of " + kernel.name() + ": " + problem);
        }
    }

    private List<Tally[]> run(Launch launch) {
        long ctas = launch.grid().count();
        AtomicLong next = new AtomicLong();
        List<Tally[]> tallies = new ArrayList<>();
        List<Throwable> failures = new ArrayList<>();
        AtomicLong failedCta = new AtomicLong(Long.MAX_VALUE);
        Runnable worker = () -> {
            Cta cta = new Cta(launch);
            long n = -1;
            try {
                // CTAs are taken in order and begun ones are finished, so that of several faults the first is reported.
                while (failedCta.get() == Long.MAX_VALUE && (n = next.getAndIncrement()) < ctas) {
                    cta.run((int) n);
                }
                synchronized (tallies) {
                    tallies.add(cta.tallies);
                }
            } catch (RuntimeException | Error e) {
                synchronized (failures) {
                    if (n < failedCta.get()) {
                        failedCta.set(n);
                        failures.add(0, e);
                    }
                }
            }
        };
        int parallel = (int) Math.min(workers, ctas);
        if (parallel == 1) {
            worker.run();
        } else {
            List<Future<?>> running = new ArrayList<>();
            for (int i = 0; i < parallel; i++) {
                running.add(pool.submit(worker));
            }
            running.forEach(Emulator::join);
        }
        if (!failures.isEmpty()) {
            switch (failures.get(0)) {
                case RuntimeException e -> throw e;
                case Error e -> throw e;
                default -> throw new IllegalStateException(failures.get(0));
            }
        }
        return tallies;
    }

    private static void join(Future<?> f) {
        try {
            f.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new PtxException("interrupted while a kernel was running");
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause());
        }
    }

    /** Ends the worker threads. */
    @Override
    public void close() {
        pool.shutdown();
    }
}
