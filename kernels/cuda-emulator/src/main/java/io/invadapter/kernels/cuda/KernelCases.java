package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Every case of every kernel; the way in for those who run them without a test framework. */
public final class KernelCases {

    private KernelCases() {
    }

    /**
     * What became of a case.
     *
     * @param failure {@code null} when the result was right
     */
    public record Outcome(String name, Throwable failure) {
    }

    /** float16 goes through all cases, the other types through some of each kernel. */
    static List<KernelCase> all(DataType type) {
        Stream<List<KernelCase>> cases = type == DataType.FLOAT16
                ? Stream.of(AttentionCases.all(), NormalisationCases.all(), PointwiseCases.all())
                : Stream.of(AttentionCases.few(), NormalisationCases.few(), PointwiseCases.few());
        Stream<KernelCase> identityOfStrengthZero = IntStream.of(40, 64, 80, 160, 32, 96, 157, 171)
                .filter(size -> type == DataType.FLOAT16 || size % 8 == 0 && size <= 80)
                .mapToObj(size -> new KernelCase("identity of strength 0 is plain attention, head size " + size,
                        bench -> AttentionCases.sameWithoutIdentity(bench, size)));
        return Stream.concat(cases.flatMap(List::stream), identityOfStrengthZero).toList();
    }

    /** Runs all cases of a type on a driver, which is closed afterwards; {@code told} hears of each. */
    public static void run(CudaDriver driver, DataType type, Consumer<Outcome> told) {
        try (driver) {
            each(driver, type, (name, one) -> {
                Throwable failure = null;
                try {
                    one.run();
                } catch (RuntimeException | AssertionError e) {
                    failure = e;
                }
                told.accept(new Outcome(name, failure));
            });
        }
    }

    /** Hands over the cases of a type one after the other, each with its name, for {@code runner} to run on that driver or not. */
    public static void each(CudaDriver driver, DataType type, BiConsumer<String, Runnable> runner) {
        Bench bench = Bench.on(driver, type);
        for (KernelCase one : all(type)) {
            runner.accept(one.name(), () -> one.run(bench));
        }
    }
}
