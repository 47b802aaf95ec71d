package io.invadapter.gpucheck.first;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;

/** A driver that tells how large the graphs were that it recorded. */
final class WatchedDriver {
    private final List<Integer> nodes = new ArrayList<>();
    private final CudaDriver driver;

    WatchedDriver(CudaDriver target) {
        driver = (CudaDriver) Proxy.newProxyInstance(CudaDriver.class.getClassLoader(), new Class<?>[] {CudaDriver.class},
                (proxy, method, arguments) -> {
                    try {
                        Object result = method.invoke(target, arguments);
                        if (result instanceof CudaDriver.Graph graph) {
                            nodes.add(graph.nodes());
                        }
                        return result;
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    CudaDriver driver() {
        return driver;
    }

    /** Of each graph, in the order in which they were recorded. */
    List<Integer> nodes() {
        return nodes;
    }
}
