package io.invadapter.cli;

import io.invadapter.engine.request.ProgressListener;
import java.text.DecimalFormat;
import java.text.DecimalFormatSymbols;
import java.util.Locale;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * A bar with steps, rate and time left. It goes to standard output, the one stream Java can tell to be a terminal; in a pipe
 * there is none.
 */
final class Progress implements ProgressListener, AutoCloseable {
    private static final int WIDTH = 80;
    private static final DecimalFormat SPEED = new DecimalFormat("0.00", DecimalFormatSymbols.getInstance(Locale.ROOT));

    private final boolean shown;
    private ProgressBar bar;
    private String phase;

    Progress(boolean quiet) {
        this.shown = isShown(quiet);
    }

    private static boolean isShown(boolean quiet) {
        return !quiet && System.console() != null && System.console().isTerminal();
    }

    /** One line while a model is loaded, gone afterwards: at first that it is, then a bar that counts its tensors. */
    static final class Loading implements ProgressListener, AutoCloseable {
        private final boolean shown;
        private ProgressBar bar;

        Loading(boolean quiet) {
            this.shown = isShown(quiet);
            if (shown) {
                System.out.print("loading the model …");
                System.out.flush();
            }
        }

        @Override
        public void onStep(String phase, int tensor, int tensors) {
            if (shown) {
                if (bar == null) {
                    bar = bar(phase, tensors).clearDisplayOnFinish().build();
                }
                bar.stepTo(tensor);
            }
        }

        @Override
        public void close() {
            if (bar != null) {
                bar.close();
            }
            if (shown) {
                clearLine();
            }
        }
    }

    private static ProgressBarBuilder bar(String phase, int steps) {
        return new ProgressBarBuilder().setTaskName(phase).setInitialMax(steps).setStyle(ProgressBarStyle.ASCII)
                .setConsumer(new ConsoleProgressBarConsumer(System.out, WIDTH)).setUpdateIntervalMillis(100);
    }

    /** So that what is said next stands on a line of its own. */
    static void clearLine() {
        if (isShown(false)) {
            System.out.print("\r\u001b[K");
            System.out.flush();
        }
    }

    @Override
    public void onStep(String newPhase, int step, int steps) {
        if (!shown || steps == 1) {
            return;
        }
        if (!newPhase.equals(phase)) {
            close();
            phase = newPhase;
            bar = bar(newPhase, steps).showSpeed(SPEED).build();
        }
        bar.stepTo(step);
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
            bar = null;
            phase = null;
        }
    }
}
