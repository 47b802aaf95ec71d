package io.invadapter.cli;

import io.invadapter.engine.ProgressListener;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** A bar with rate and time left on a terminal; nothing in a pipe. */
final class Progress implements ProgressListener, AutoCloseable {
    private final boolean shown;
    private ProgressBar bar;
    private String phase;

    Progress(boolean quiet) {
        this.shown = !quiet && System.console() != null && System.console().isTerminal();
    }

    @Override
    public void onStep(String newPhase, int step, int steps) {
        if (!shown) {
            return;
        }
        if (!newPhase.equals(phase)) {
            close();
            phase = newPhase;
            bar = new ProgressBarBuilder().setTaskName(newPhase).setInitialMax(steps).setStyle(ProgressBarStyle.ASCII)
                    .showSpeed().setUpdateIntervalMillis(100).build();
        }
        bar.stepTo(step);
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
            bar = null;
        }
    }
}
