package io.invadapter.gpucheck.first;

import java.util.List;

/** All sections, what tells most first: time may run out. */
public final class Sections {
    public static final List<Section> ALL = List.of(
            new Section("machine", 8, Machine::run),
            new Section("proofs", 20, Proofs::run),
            new Section("modules", 30, Modules::run),
            new Section("ceilings", 10, Ceilings::run),
            new Section("convolutions", 60, Convolutions::run),
            new Section("products", 30, LinearProducts::run),
            new Section("attention", 10, Attentions::run),
            new Section("operators", 20, Operators::run),
            new Section("cases", 50, Cases::run),
            new Section("step", 40, Step::run),
            new Section("golden", 50, Goldens::run),
            new Section("requests", 45, Requests::run));

    private Sections() {
    }
}
