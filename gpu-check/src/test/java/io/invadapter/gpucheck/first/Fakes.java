package io.invadapter.gpucheck.first;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.EmulatedGpu;
import io.invadapter.kernels.cuda.Faults;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** What stands in place of the GPU, of processes and of what they try. */
final class Fakes {

    private Fakes() {
    }

    /** An emulated GPU, whose driver is overheard. */
    private static class Emulated implements Gpu {
        private final Consumer<Faults> order;
        private final Listening.Ear ear;
        private final Map<CudaDriver, EmulatedGpu> open = new IdentityHashMap<>();

        Emulated(Consumer<Faults> order, Listening.Ear ear) {
            this.order = order;
            this.ear = ear;
        }

        @Override
        public void mustBeThere() {
            // It is.
        }

        @Override
        public List<String> report() {
            return List.of("an emulated GPU");
        }

        @Override
        public CudaDriver driver() {
            EmulatedGpu gpu = EmulatedGpu.fast();
            order.accept(gpu.faults());
            CudaDriver driver = Listening.to(CudaDriver.class, gpu.driver(), ear);
            open.put(driver, gpu);
            return driver;
        }

        @Override
        public CudaLibraries libraries(CudaDriver driver) {
            return open.get(driver).libraries();
        }
    }

    static Gpu gpu() {
        return faulty(faults -> { });
    }

    /** @param order gets what each opened GPU can be told to fail at */
    static Gpu faulty(Consumer<Faults> order) {
        return new Emulated(order, (arguments, result) -> { });
    }

    /** @param ear hears of every call of the driver */
    static Gpu overheard(Listening.Ear ear) {
        return new Emulated(faults -> { }, ear);
    }

    /** Where there is none, for that reason. */
    static Gpu noGpu(String why) {
        return new Emulated(faults -> { }, (arguments, result) -> { }) {
            @Override
            public void mustBeThere() {
                throw new DeviceException(why);
            }
        };
    }

    /** A child whose end a test decides. */
    private static final class FakeChild implements Children.Child {
        private final int exitCode;
        private boolean alive;

        FakeChild(int exitCode, boolean alive) {
            this.exitCode = exitCode;
            this.alive = alive;
        }

        @Override
        public boolean isAlive() {
            return alive;
        }

        @Override
        public int exitCode() {
            return exitCode;
        }

        @Override
        public void kill() {
            alive = false;
        }
    }

    /** A section on a thread of this process, which cannot be killed. */
    private static final class ThreadChild implements Children.Child {
        private final Thread thread;
        private volatile int exitCode = -1;

        ThreadChild(List<String> arguments, List<Section> sections, Gpu gpu, Sizes sizes) {
            thread = Thread.ofPlatform().start(() -> {
                try {
                    exitCode = FirstChild.run(arguments, sections, gpu, sizes);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        }

        @Override
        public boolean isAlive() {
            return thread.isAlive();
        }

        @Override
        public int exitCode() {
            return exitCode;
        }

        @Override
        public void kill() {
            try {
                thread.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** Sections on threads of this process. */
    static Children threads(List<Section> sections, Gpu gpu, Sizes sizes) {
        return (arguments, work, log) -> new ThreadChild(arguments, sections, gpu, sizes);
    }

    /** Children that write that they are done. @param stays until it is killed */
    static Children done(int exitCode, boolean stays) {
        return (arguments, work, log) -> {
            Files.writeString(Path.of(arguments.get(1)), "{\"event\": \"done\", \"item\": \"\", \"left_out\": 0}\n");
            return new FakeChild(exitCode, stays);
        };
    }

    /** A piece of work that a step has once. */
    record Subject(String label, List<Candidate<Way>> candidates, Supplier<Trials.Operands<Way>> made) implements Trials.Subject<Way> {
        @Override
        public String key() {
            return label;
        }

        @Override
        public long timesPerStep() {
            return 1;
        }

        @Override
        public double operations() {
            return 1;
        }

        @Override
        public Trials.Operands<Way> operands() {
            return made.get();
        }
    }

    /** Its candidates take 100 ms each to prepare, and cannot be. */
    static Subject slow(String label, String... candidates) {
        return new Subject(label, Arrays.stream(candidates).map(name -> (Candidate<Way>) new Slow(name)).toList(), () -> {
            throw new IllegalStateException();
        });
    }

    private record Slow(String name) implements Candidate<Way> {
        @Override
        public Way prepare() {
            try {
                Thread.sleep(100);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            throw new DeviceException("refused here");
        }
    }

    /**
     * Two ways to copy.
     *
     * @param full whether there is no memory for its operands, once
     * @param told when its operands are made and closed
     */
    static Subject copying(String label, Contact contact, boolean full, Consumer<String> told) {
        boolean[] refuses = {full};
        return new Subject(label, List.of(new Copy("a"), new Copy("b")), () -> {
            if (refuses[0]) {
                refuses[0] = false;
                throw new OutOfDeviceMemoryException("full");
            }
            told.accept(label + " made");
            return new CopyOperands(contact.driver(), told);
        });
    }

    private record Copy(String name) implements Candidate<Way>, Way {
        @Override
        public Way prepare() {
            return this;
        }

        @Override
        public long workspaceBytes() {
            return 0;
        }

        @Override
        public void close() {
            // It has nothing.
        }
    }

    private static final class CopyOperands implements Trials.Operands<Way> {
        private final CudaDriver driver;
        private final Consumer<String> told;
        private final OnDevice memory;
        private final long from;
        private final long to;

        CopyOperands(CudaDriver driver, Consumer<String> told) {
            this.driver = driver;
            this.told = told;
            memory = new OnDevice(driver);
            from = memory.known(1, DataType.FLOAT32, 4);
            to = memory.room(16);
        }

        @Override
        public void spoil() {
            memory.spoil(to, 16);
        }

        @Override
        public void run(Way way, long workspace, CudaDriver.Stream stream) {
            driver.copy(to, from, 16, stream);
        }

        @Override
        public double error() {
            return memory.read(DataType.FLOAT32, to, 1)[0] - OnDevice.known(1, 0);
        }

        @Override
        public byte[] result() {
            return memory.bytes(to, 16);
        }

        @Override
        public void close() {
            told.accept("closed");
            memory.close();
        }
    }
}
