package io.invadapter.engine.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.engine.ChildProcess;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/**
 * {@link Soak}, in short. All of it, in which memory counts:
 * {@code mvn -pl engine -am test -Dtest=SoakTest -Dsurefire.failIfNoSpecifiedTests=false -Dsoak.requests=2000}
 */
@EnabledOnOs(OS.LINUX)
class SoakTest {
    @Test
    void aServerGivesWhatItsPipelinesGiveAloneAndDoesNotGrow() {
        // The heap has its size from the start: what grows is not Java's.
        ChildProcess child = ChildProcess.run(List.of("-Xms400m", "-Xmx400m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC"), Soak.class,
                System.getProperty("soak.requests", "60"));
        System.out.println(child.output());
        assertEquals(0, child.status(), child.output());
    }
}
