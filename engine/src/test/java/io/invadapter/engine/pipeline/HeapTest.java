package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.assertSame;
import static io.invadapter.engine.pipeline.Pictures.open;
import static io.invadapter.engine.pipeline.Pictures.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.engine.ChildProcess;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** A Java heap that is full ends the request under way and nothing else. */
class HeapTest {
    private static final int MIB = 1 << 20;
    private static final int LEFT = 2;

    /** Fills the heap, asks for a picture, empties it and asks again: of a pipeline, and of a pool. */
    static final class Full {
        private Full() {
        }

        public static void main(String[] arguments) throws Exception {
            GenerationRequest request = request(FACES.getFirst(), "a person", 1).size(512, 512).steps(1).build();
            try (Pipeline pipeline = open(new IdentityBudget(0, 0, 0, null))) {
                GenerationResult expected = pipeline.generate(request);
                List<byte[]> ballast = ballast();
                assertThrows(OutOfMemoryError.class, () -> pipeline.generate(request));
                ballast.clear();
                assertSame(expected, pipeline.generate(request));
                try (PipelinePool pool = PipelinePool.builder().pipeline(pipeline).build()) {
                    ballast = ballast();
                    ExecutionException failed = assertThrows(ExecutionException.class,
                            () -> pool.submit("client", request).get(100, TimeUnit.SECONDS));
                    ballast.clear();
                    assertInstanceOf(OutOfMemoryError.class, failed.getCause());
                    assertSame(expected, pool.submit("client", request).get(100, TimeUnit.SECONDS));
                }
            }
            System.out.println("goes on");
        }

        private static List<byte[]> ballast() {
            List<byte[]> ballast = new ArrayList<>();
            try {
                while (true) {
                    ballast.add(new byte[MIB]);
                }
            } catch (OutOfMemoryError e) {
                ballast.subList(ballast.size() - LEFT, ballast.size()).clear();
                return ballast;
            }
        }
    }

    @Test
    void aFullHeapEndsTheRequestOnly() {
        ChildProcess child = ChildProcess.run(List.of("-Xmx100m", "-XX:+UseSerialGC"), Full.class);
        assertEquals("goes on\n", child.output());
        assertEquals(0, child.status());
    }
}
