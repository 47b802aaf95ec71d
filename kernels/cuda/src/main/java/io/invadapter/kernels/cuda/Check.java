package io.invadapter.kernels.cuda;

/** Argument checks of the launchers: one sentence that names the argument and what was expected. */
final class Check {
    private Check() {
    }

    static IllegalArgumentException wrong(String name, Object value, String expected) {
        return new IllegalArgumentException(name + " is " + value + ", expected " + expected);
    }

    static void positive(String name, long value) {
        if (value < 1) {
            throw wrong(name, value, "at least 1");
        }
    }

    static void range(String name, long value, long least, long most) {
        if (value < least || value > most) {
            throw wrong(name, value, least + " to " + most);
        }
    }

    /** An address that must be there, of values of {@code bytes} bytes. */
    static void address(String name, long address, int bytes) {
        if (address == 0) {
            throw wrong(name, "null", "a device address");
        }
        optional(name, address, bytes);
    }

    /** An address that may be 0. */
    static void optional(String name, long address, int bytes) {
        if (address % bytes != 0) {
            throw wrong(name, "0x" + Long.toHexString(address), "a multiple of " + bytes);
        }
    }

    static void finite(String name, float value) {
        if (!Float.isFinite(value)) {
            throw wrong(name, value, "a finite number");
        }
    }

    /** What is added to a variance. */
    static void eps(float value) {
        if (!(value >= 0) || !Float.isFinite(value)) {
            throw wrong("eps", value, "0 or a positive number");
        }
    }
}
