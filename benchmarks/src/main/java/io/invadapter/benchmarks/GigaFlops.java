package io.invadapter.benchmarks;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/** A second column beside the throughput: 10^9 floating-point operations a second, a multiplication and an addition being two. */
@State(Scope.Thread)
@AuxCounters(AuxCounters.Type.OPERATIONS)
public class GigaFlops {
    public double gflop;

    void add(double operations) {
        gflop += operations / 1e9;
    }
}
