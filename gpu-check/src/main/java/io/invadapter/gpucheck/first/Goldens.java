package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.Precision;
import io.invadapter.verification.Verification;
import io.invadapter.verification.Verification.Part;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Golden data of the reference implementation, each part by itself. */
final class Goldens {
    /** In parts of the usual limit: the weights of a whole model are made or read for each. */
    private static final double LONG = 6;

    private final Contact contact;
    private final Path folder;
    private Verification.Loaded loaded;

    private Goldens(Contact contact, Path folder) {
        this.contact = contact;
        this.folder = folder;
    }

    static void run(Contact contact) throws Exception {
        for (Path folder : contact.sizes().goldens().call()) {
            Goldens goldens = new Goldens(contact, folder);
            for (Part part : contact.sizes().parts()) {
                contact.item(folder.getFileName() + ", " + part.name().toLowerCase(Locale.ROOT), LONG * contact.sizes().limit(),
                        () -> goldens.compared(part));
            }
            if (goldens.loaded != null) {
                goldens.loaded.close();
            }
        }
    }

    private Outcome compared(Part part) {
        if (loaded == null) {
            loaded = Verification.load(folder, contact.device(Precision.FP16));
        }
        Verification verification = loaded.compare(EnumSet.of(part));
        if (verification.rows().isEmpty()) {
            return Outcome.skipped("none in this folder");
        }
        Map<String, Object> errors = new LinkedHashMap<>();
        List<String> failures = new ArrayList<>(verification.differentTokens());
        double worst = 0;
        for (Verification.Row row : verification.rows()) {
            errors.put(row.key(), row.error());
            worst = Math.max(worst, row.error());
            if (!row.passed()) {
                failures.add(String.format(Locale.ROOT, "%s %.1e (limit %.0e)", row.key(), row.error(), row.limit()));
            }
        }
        return Outcome.of(failures.isEmpty(), failures.isEmpty()
                ? String.format(Locale.ROOT, "%d keys, largest error %.1e", errors.size(), worst) : String.join("; ", failures), errors);
    }
}
