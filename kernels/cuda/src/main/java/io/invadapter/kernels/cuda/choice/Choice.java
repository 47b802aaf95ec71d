package io.invadapter.kernels.cuda.choice;

import java.util.Locale;

/**
 * The way that an {@link Offer} is computed from now on.
 *
 * @param name         of its candidate
 * @param microseconds of one run when it was timed, now or in an earlier process; NaN when it never was
 * @param recordable   whether it can be part of a recorded graph, as far as known
 */
public record Choice<W extends Way>(String name, W way, double microseconds, boolean recordable) {
    /** For people. */
    public String description() {
        return name + (Double.isNaN(microseconds) ? ", not timed" : String.format(Locale.ROOT, ", %.1f us", microseconds))
                + (recordable ? "" : ", cannot be recorded");
    }
}
