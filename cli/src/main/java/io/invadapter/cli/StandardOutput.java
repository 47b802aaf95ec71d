package io.invadapter.cli;

import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.Charset;

/** What {@code System.out} writes to in the command: a disk that is full is told, which Java's own stream keeps to itself. */
final class StandardOutput extends OutputStream {
    /** What a reader who has seen enough, such as {@code head}, leaves behind. */
    private static final String CLOSED_PIPE = "Broken pipe";

    private final OutputStream out = new FileOutputStream(FileDescriptor.out);
    private IOException failure;

    private StandardOutput() {
    }

    /** Puts a new one in the place of {@code System.out}, which keeps its character set. */
    static StandardOutput install() {
        StandardOutput output = new StandardOutput();
        Charset charset = System.out.charset();
        System.setOut(new PrintStream(new BufferedOutputStream(output), true, charset));
        return output;
    }

    @Override
    public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
        try {
            out.write(bytes, offset, length);
        } catch (IOException e) {
            failure = e;
            throw e;
        }
    }

    /**
     * At the command's end.
     *
     * @param code what the command would exit with
     * @return 1 when something was lost, which is said
     */
    int end(int code) {
        System.out.flush();
        if (failure == null || failure.getMessage().contains(CLOSED_PIPE)) {
            return code;
        }
        System.err.println("invadapter: standard output cannot be written: " + failure.getMessage());
        return 1;
    }
}
