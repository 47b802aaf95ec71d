/** The command {@code invadapter}. */
module io.invadapter.cli {
    requires io.invadapter.engine;
    requires io.invadapter.timing;
    requires io.invadapter.bundledmodel;
    requires io.invadapter.verification;
    requires info.picocli;
    requires me.tongfei.progressbar;
    requires commons.math3;
    requires java.desktop;
    requires java.logging;

    opens io.invadapter.cli to info.picocli;
}
