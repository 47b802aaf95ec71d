package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import java.io.File;
import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.Arrays;
import java.util.Enumeration;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Servers give every application a class loader of its own, and its threads one that may know nothing of it. */
class ClassLoadersTest {

    /** Each in a process of its own, for native libraries belong to the first class loader that loads them. */
    private static void opensADevice(String where) {
        assertEquals(new ChildProcess(0, "cpu\n"), ChildProcess.run(List.of(), Map.of(), List.of(), Application.class, where));
    }

    @Test
    void aThreadWithoutAClassLoader() {
        opensADevice("none");
    }

    @Test
    void aThreadThatKnowsNoApplication() {
        opensADevice("platform");
    }

    @Test
    void aThreadOfAnotherApplicationWithTheSameLibraries() {
        opensADevice("foreign");
    }

    @Test
    void aThreadOfAnApplicationThatHasBeenStopped() {
        opensADevice("stopped");
        opensADevice("unreadable");
    }

    /** As Tomcat's of an application that is gone, or one whose jar is. */
    private static final class Gone extends ClassLoader {
        private final boolean stopped;

        Gone(boolean stopped) {
            this.stopped = stopped;
        }

        @Override
        public Enumeration<URL> getResources(String name) throws IOException {
            if (stopped) {
                throw new IllegalStateException("this web application instance has been stopped already");
            }
            throw new IOException("the jar is gone");
        }
    }

    @Test
    void theEngineIsTheServersAndTheDeviceTheApplications() {
        opensADevice("shared");
    }

    /** Opens the CPU device through a class loader below the platform's, and prints its name. */
    static final class Application {
        public static void main(String[] arguments) throws Exception {
            URL[] all = Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator)).filter(path -> !path.isEmpty())
                    .map(Application::url).toArray(URL[]::new);
            ClassLoader platform = ClassLoader.getPlatformClassLoader();
            ClassLoader application = new URLClassLoader(all, platform);
            Class<?> devices = application.loadClass(Devices.class.getName());
            Thread.currentThread().setContextClassLoader(switch (arguments[0]) {
                case "none" -> null;
                case "platform" -> platform;
                case "foreign" -> new URLClassLoader(all, platform);
                case "stopped" -> new Gone(true);
                case "unreadable" -> new Gone(false);
                default -> {
                    URL device = CpuDeviceProvider.class.getProtectionDomain().getCodeSource().getLocation();
                    URL[] servers = Arrays.stream(all).filter(url -> !url.sameFile(device)).toArray(URL[]::new);
                    ClassLoader server = new URLClassLoader(servers, platform);
                    devices = server.loadClass(Devices.class.getName());
                    yield new URLClassLoader(all, server);
                }
            });
            Consumer<String> notices = System.out::println;
            try (AutoCloseable device = (AutoCloseable) devices.getMethod("open", String.class,
                    devices.getClassLoader().loadClass(Precision.class.getName()), Consumer.class).invoke(null, "cpu", null, notices)) {
                System.out.println(device.getClass().getClassLoader() == ClassLoader.getSystemClassLoader() ? "the test's own" : "cpu");
            }
        }

        private static URL url(String path) {
            try {
                return new File(path).toURI().toURL();
            } catch (MalformedURLException e) {
                throw new IllegalArgumentException(path, e);
            }
        }
    }
}
