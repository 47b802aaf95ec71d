package io.invadapter.kernels.cuda.driver;

import io.invadapter.base.TemporaryFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Loads the native halves of JCuda. It unpacks them among the temporary files, under names that anybody may guess, and trusts
 * whatever lies there: a file of somebody else, or half a file from when the disk was full. So each is unpacked into a new folder that
 * nobody else can write, which goes as soon as it is loaded.
 */
public final class JCudaNatives {
    private static final String TEMPORARY = "java.io.tmpdir";

    private JCudaNatives() {
    }

    /**
     * @param firstCall of a class of JCuda, which loads its library
     * @throws LinkageError when it cannot be unpacked or loaded
     */
    public static synchronized void load(Runnable firstCall) {
        String temporary = System.getProperty(TEMPORARY);
        Path folder;
        try {
            folder = Files.createTempDirectory("invadapter-jcuda");
        } catch (IOException e) {
            throw (LinkageError) new UnsatisfiedLinkError(temporary + " cannot be written").initCause(e);
        }
        // JCuda asks for it each time; Java's own classes have asked once and for all.
        System.setProperty(TEMPORARY, folder.toString());
        try {
            firstCall.run();
        } finally {
            System.setProperty(TEMPORARY, temporary);
            TemporaryFolder.remove(folder);
        }
    }
}
