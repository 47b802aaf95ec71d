package io.invadapter.engine.identity;

import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.kernels.Device;
import java.util.Locale;
import java.util.function.Consumer;

/** Says why a face is not kept: each reason once. */
final class Refusals {
    private final Device device;
    private final IdentityBudget budget;
    private final Consumer<String> notices;
    private boolean toldOfDevice;
    private boolean toldOfFolder;

    Refusals(Device device, IdentityBudget budget, Consumer<String> notices) {
        this.device = device;
        this.budget = budget;
        this.notices = notices;
    }

    /** There is less memory than the budget allows. */
    void deviceIsFull() {
        if (!toldOfDevice) {
            toldOfDevice = true;
            notices.accept(device.name() + ": there is no memory to keep a face in beside the picture, so it is computed anew for the next");
        }
    }

    /** @param bytes that a face takes */
    void folderIsTooSmall(long bytes) {
        if (!toldOfFolder) {
            toldOfFolder = true;
            notices.accept(budget.folder() + ": no face is kept, for one takes " + megabytes(bytes) + " and " + megabytes(budget.diskBytes())
                    + " may be used there");
        }
    }

    private static String megabytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
    }
}
