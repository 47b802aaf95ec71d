package io.invadapter.gpucheck.first;

/**
 * A part of the first contact, in a process of its own.
 *
 * @param name    as it is written
 * @param seconds its share of the whole time; what others leave over it gets too
 * @param work    its items
 */
public record Section(String name, double seconds, Work work) {

    /** What a section does. */
    @FunctionalInterface
    public interface Work {
        void run(Contact contact) throws Exception;
    }
}
