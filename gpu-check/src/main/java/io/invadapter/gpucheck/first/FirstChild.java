package io.invadapter.gpucheck.first;

import io.invadapter.kernels.DeviceException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** One section in a process of its own. */
public final class FirstChild {
    /** Exit code: the device is lost; another process may go on. */
    static final int LOST = 3;

    private FirstChild() {
    }

    /**
     * What the parent hands over.
     *
     * @param section its name
     * @param journal where to write
     * @param choices where choices are kept
     * @param skip    items that are begun already
     * @param seconds for all others together
     */
    record Order(String section, Path journal, Path choices, int skip, double seconds) {
        List<String> arguments() {
            return List.of(section, journal.toString(), choices.toString(), Integer.toString(skip), Double.toString(seconds));
        }

        static Order of(List<String> arguments) {
            return new Order(arguments.get(0), Path.of(arguments.get(1)), Path.of(arguments.get(2)),
                    Integer.parseInt(arguments.get(3)), Double.parseDouble(arguments.get(4)));
        }
    }

    /** Ends this process when its parent does: the parent holds the other end of the standard input and never writes to it. */
    public static void endWithParent() {
        Thread.ofPlatform().daemon().start(() -> {
            try {
                System.in.read();
            } catch (IOException e) {
                // The other end is gone.
            }
            Runtime.getRuntime().halt(1);
        });
    }

    /** Does what {@link Order#arguments} say and returns the exit code. */
    public static int run(List<String> arguments, List<Section> sections, Gpu gpu, Sizes sizes) throws IOException {
        Order order = Order.of(arguments);
        Section section = sections.stream().filter(one -> one.name().equals(order.section)).findFirst().orElseThrow();
        try (Journal journal = new Journal(order.journal, order.skip, order.seconds)) {
            if (section == sections.getFirst()) {
                try {
                    gpu.mustBeThere();
                } catch (DeviceException e) {
                    journal.noGpu(e.getMessage());
                    return 2;
                }
            }
            try (Contact contact = new Contact(gpu, sizes, journal, order.choices)) {
                section.work().run(contact);
                journal.done();
                return 0;
            } catch (Journal.DeviceLost e) {
                return LOST;
            } catch (Exception | Error e) {
                e.printStackTrace();
                return 1;
            }
        }
    }
}
