package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/** Processes that crash, hang, write what they should not, and lose their device; and one that starts such a process. */
final class TroubledProcess {
    static final List<Section> SECTIONS = List.of(new Section("good", 1, contact -> good(contact, "good")),
            new Section("trouble", 10, TroubledProcess::trouble), new Section("after", 1, contact -> good(contact, "last")));
    /** What {@link #main} does with a folder alone: as gpu-check does, in a process that can be told to end. */
    private static final List<Section> PATIENT = List.of(
            new Section("patient", 1, contact -> contact.item("waits", 60, () -> {
                Thread.sleep(60_000);
                return null;
            })), new Section("never", 1, contact -> good(contact, "never")));
    /** As a shell sees SIGABRT, with which Java dies when native code crashes. */
    private static final int ABORTED = 134;
    private static Path journal;

    private TroubledProcess() {
    }

    public static void main(String[] arguments) throws IOException {
        if (arguments.length == 1) {
            System.exit(new FirstContact(Path.of(arguments[0]), 60, 20, PATIENT,
                    new JavaProcesses(List.of(), TroubledProcess.class, List.of()), System.out).run());
        }
        FirstChild.endWithParent();
        journal = Path.of(arguments[1]);
        System.exit(FirstChild.run(List.of(arguments), arguments[0].equals("patient") ? PATIENT : SECTIONS, Fakes.gpu(), null));
    }

    private static void good(Contact contact, String name) {
        item(contact, name, () -> Outcome.of(true, "", null));
    }

    private static void item(Contact contact, String name, Callable<Outcome> work) {
        contact.item(name, 1, work);
    }

    private static void trouble(Contact contact) {
        item(contact, "throws", () -> {
            throw new IllegalStateException("went wrong");
        });
        item(contact, "crashes", () -> {
            contact.journal().more(Map.of("step", 3));
            System.out.println("last words");
            write("{\"event\": \"beg");
            Runtime.getRuntime().halt(ABORTED);
            return null;
        });
        good(contact, "behind the crash");
        item(contact, "hangs", () -> {
            Thread.sleep(60_000);
            return null;
        });
        good(contact, "behind the hang");
        item(contact, "garbage", () -> {
            write("this is no JSON\n[1, 2]\n");
            return Outcome.of(true, "", null);
        });
        contact.journal().item("loses the device", 1, () -> true, () -> {
            throw new Journal.DeviceLost();
        });
        good(contact, "behind the loss");
    }

    private static void write(String text) {
        try {
            Files.writeString(journal, text, StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
