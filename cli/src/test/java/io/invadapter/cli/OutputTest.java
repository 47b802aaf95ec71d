package io.invadapter.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.bundledmodel.BundledModel;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.logging.Logger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Prompts and faces in, pictures out: files, streams, disks that are full. */
class OutputTest {
    @TempDir
    private Path folder;

    private record Outcome(int code, String message) {
    }

    private static Outcome run(Object... arguments) {
        StringWriter err = new StringWriter();
        int code = Main.commandLine().setErr(new PrintWriter(err, true)).execute(Stream.of(arguments).map(Object::toString).toArray(String[]::new));
        return new Outcome(code, err.toString().strip());
    }

    /** The command in a process of its own. */
    record Run(int code, byte[] out, String err) {
        static Run of(Path workingFolder, List<String> javaOptions, Object... arguments) throws Exception {
            return of(workingFolder, Redirect.PIPE, javaOptions, arguments);
        }

        /** With its standard output sent somewhere. */
        static Run to(String file, Path workingFolder, Object... arguments) throws Exception {
            return of(workingFolder, Redirect.to(new File(file)), List.of(), arguments);
        }

        private static Run of(Path workingFolder, Redirect to, List<String> javaOptions, Object... arguments) throws Exception {
            List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "--enable-native-access=ALL-UNNAMED", "-Djava.awt.headless=true", "-XX:TieredStopAtLevel=1"));
            command.addAll(javaOptions);
            command.addAll(List.of("-cp", System.getProperty("java.class.path") + File.pathSeparator
                    + System.getProperty("jdk.module.path", ""), "io.invadapter.cli.Main"));
            Stream.of(arguments).map(Object::toString).forEach(command::add);
            Path err = Files.createTempFile("err", ".txt");
            Process process = new ProcessBuilder(command).directory(workingFolder.toFile()).redirectOutput(to).redirectError(err.toFile()).start();
            process.getOutputStream().close();
            byte[] out = process.getInputStream().readAllBytes();
            Run run = new Run(process.waitFor(), out, Files.readString(err));
            Files.delete(err);
            return run;
        }
    }

    private String text(String name) throws Exception {
        return new String(Files.readAllBytes(folder.resolve(name)), StandardCharsets.ISO_8859_1);
    }

    private List<String> names() throws Exception {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void eachPictureIsWrittenWhenItIsDone() throws Exception {
        // The others cannot be written, which shows only when they are done.
        Thread obstacle = Thread.ofPlatform().start(() -> {
            try {
                while (!Files.exists(folder.resolve("out-1.png"))) {
                    Thread.sleep(1);
                }
                for (int i = 9; i > 1; i--) {
                    Files.createDirectories(folder.resolve("out-" + i + ".png/in the way"));
                }
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        Outcome outcome = run("generate", "--prompt", "a portrait", "--steps", 3, "--seed", 1, "--count", 9, "-q", "-o", folder.resolve("out.png"));
        obstacle.join();
        assertEquals(1, outcome.code(), outcome.message());
        assertTrue(outcome.message().matches(".*/out-[2-9]\\.png: the picture cannot be written: .*"), outcome.message());
        assertTrue(Files.isRegularFile(folder.resolve("out-1.png")));
        assertEquals(9, names().size(), "nothing half-written is left");
    }

    @Test
    void aPromptOnEachLineOfAFile() throws Exception {
        Path file = Files.writeString(folder.resolve("prompts.txt"), "\uFEFFa happy person\r\n\n  #mädchen, smiling \n");
        assertEquals(new Outcome(0, ""), run("generate", "--prompts", file, "--steps", 1, "--seed", 5, "--count", 2, "-q", "-o", folder.resolve("p.png")));
        assertEquals(List.of("p-1.png", "p-2.png", "p-3.png", "p-4.png", "prompts.txt"), names());
        assertTrue(text("p-2.png").contains("a happy person\nSteps: 1, Sampler: DDIM, CFG scale: 3.5, Seed: 6,"));
        assertTrue(text("p-3.png").contains("#mädchen, smiling\nSteps: 1, Sampler: DDIM, CFG scale: 3.5, Seed: 5,"));
        InputStream terminal = System.in;
        try {
            System.setIn(new ByteArrayInputStream("a sad person".getBytes(StandardCharsets.UTF_8)));
            assertEquals(new Outcome(0, ""), run("generate", "--prompts", "-", "--steps", 1, "-q", "-o", folder.resolve("in.png")));
        } finally {
            System.setIn(terminal);
        }
        assertTrue(text("in.png").contains("a sad person\n"));
        for (Object[] mistake : new Object[][] {{Files.writeString(folder.resolve("empty.txt"), "\n \n"), "there is no prompt in it"},
            {Files.write(folder.resolve("latin.txt"), new byte[] {'M', (byte) 0xE4, 'd'}), "line 1 is not UTF-8"},
            {folder.resolve("gone.txt"), "does not exist"}}) {
            Outcome outcome = run("generate", "--prompts", mistake[0], "-o", folder.resolve("out.png"));
            assertEquals(2, outcome.code(), outcome.message());
            assertTrue(outcome.message().contains(mistake[1].toString()), outcome.message());
        }
        for (List<String> prompts : List.of(List.<String>of(), List.of("--prompt", "a", "--prompts", file.toString()))) {
            Outcome outcome = run(Stream.concat(Stream.of("generate"), prompts.stream()).toArray());
            assertEquals(2, outcome.code(), outcome.message());
            assertTrue(outcome.message().contains("--prompts") && outcome.message().lines().count() == 1, outcome.message());
        }
    }

    @Test
    void aJpegByItsName() throws Exception {
        for (String name : new String[] {"a.jpg", "b.JPEG"}) {
            assertEquals(new Outcome(0, ""), run("generate", "--prompt", "портрет", "--steps", 1, "--seed", 5, "-q", "-o", folder.resolve(name)));
            byte[] bytes = Files.readAllBytes(folder.resolve(name));
            assertEquals(0xFFD8, (bytes[0] & 255) << 8 | bytes[1] & 255);
            assertTrue(new String(bytes, StandardCharsets.UTF_16BE).contains("портрет\nSteps: 1, Sampler: DDIM"));
            assertEquals(128, ImageIO.read(folder.resolve(name).toFile()).getWidth());
        }
    }

    @Test
    void sampleFacesAndAReconstructionsParameters() throws Exception {
        ImageIO.write(BundledModel.faces().get(1), "png", folder.resolve("face.png").toFile());
        assertEquals(0, run("invert", "--face", "sample:2", "--steps", 1, "-q", "-o", folder.resolve("sample.png")).code());
        assertEquals(0, run("invert", "--face", folder.resolve("face.png"), "--steps", 1, "-q", "-o", folder.resolve("file.png")).code());
        assertArrayEquals(Files.readAllBytes(folder.resolve("file.png")), Files.readAllBytes(folder.resolve("sample.png")));
        assertTrue(text("file.png").contains("a portrait of a person\nSteps: 1, Sampler: DDIM inversion, CFG scale: 1.0, Size: 128x128, "
                + "Model: avatar-sd, Inv-Adapter reconstruction error: 0."));
        for (String none : new String[] {"sample:0", "sample:6", "sample:", "sample:1.png"}) {
            Outcome outcome = run("generate", "--prompt", "a", "--face", none);
            assertEquals(2, outcome.code());
            assertTrue(outcome.message().contains("there is no '" + none + "': expected sample:1 to sample:5"), outcome.message());
        }
    }

    @Test
    void seedMinusOneIsAnotherOneEachTime() throws Exception {
        for (String name : new String[] {"a.png", "b.png"}) {
            assertEquals(new Outcome(0, ""), run("generate", "--prompt", "a", "--steps", 1, "--seed", -1, "-q", "-o", folder.resolve(name)));
            assertFalse(text(name).contains("Seed: -1"));
        }
        assertFalse(Arrays.equals(Files.readAllBytes(folder.resolve("a.png")), Files.readAllBytes(folder.resolve("b.png"))));
    }

    @Test
    void standardOutputCarriesThePictureAndNothingElseAndNoTemporaryFolderIsNeeded() throws Exception {
        Run run = Run.of(folder, List.of("-Djava.io.tmpdir=" + folder.resolve("gone")), "generate", "--prompt", "a", "--face", "sample:1",
                "--steps", 1, "--device", "cpu", "-o", "-", "--threads", 1);
        assertEquals(0, run.code(), run.err());
        assertTrue(run.err().contains("standard output (seed "), run.err());
        BufferedImage picture = ImageIO.read(new ByteArrayInputStream(run.out()));
        assertEquals(128, picture.getWidth());
        String bytes = new String(run.out(), StandardCharsets.ISO_8859_1);
        assertTrue(bytes.startsWith("\u0089PNG") && bytes.endsWith("IEND\u00ae\u0042\u0060\u0082"));
        assertEquals(List.of(), names());
        Outcome several = run("generate", "--prompt", "a", "-o", "-", "--count", 2);
        assertEquals(2, several.code());
        assertEquals("invadapter: -o -: standard output takes one picture, not 2", several.message());
    }

    @Test
    void aFullDiskIsNamedBeforeAndAfterTheWork() throws Exception {
        Path disk = Files.createDirectory(folder.resolve("disk"));
        assumeTrue(mount("mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk), "needs the right to mount");
        try {
            // Enough for the first pictures.
            Outcome outcome = run("generate", "--prompt", "a", "--steps", 1, "--count", 9, "-q", "-o", disk.resolve("out.png"));
            assertEquals(1, outcome.code());
            assertTrue(outcome.message().matches("invadapter: .*/out-\\d\\.png: the picture cannot be written: No space left on device"), outcome.message());
            assertTrue(Files.exists(disk.resolve("out-1.png")));
            try (Stream<Path> files = Files.list(disk)) {
                assertTrue(files.allMatch(file -> file.toString().endsWith(".png")));
            }
            // What is left is too little for any picture: said before the work.
            outcome = run("generate", "--prompt", "a", "--steps", 1, "-q", "-o", disk.resolve("last.png"));
            assertEquals(2, outcome.code(), outcome.message());
            assertTrue(outcome.message().contains("last.png: cannot be written: No space left on device"), outcome.message());
            Path link = Files.createSymbolicLink(folder.resolve("link.png"), disk.resolve("last.png"));
            outcome = run("generate", "--prompt", "a", "--steps", 1, "-q", "-o", link);
            assertEquals(2, outcome.code(), outcome.message());
            assertTrue(outcome.message().contains("link.png: cannot be written: No space left on device"), outcome.message());
        } finally {
            mount("umount", disk);
        }
    }

    @Test
    void eachFolderIsTriedOnceHoweverManyPicturesGoThere() throws Exception {
        try (WatchService watch = folder.getFileSystem().newWatchService()) {
            folder.register(watch, StandardWatchEventKinds.ENTRY_CREATE);
            Checks.writable(IntStream.range(0, 20).mapToObj(i -> folder.resolve(i + ".png")).toList());
            Path last = Files.createFile(folder.resolve("last"));
            List<Object> made = new ArrayList<>();
            while (!made.contains(last.getFileName())) {
                WatchKey key = watch.take();
                key.pollEvents().forEach(event -> made.add(event.context()));
                key.reset();
            }
            assertEquals(2, made.size(), made.toString());
        }
    }

    private void cannotBeWritten(String reason, Object... arguments) {
        Outcome outcome = run(arguments);
        assertEquals(2, outcome.code(), outcome.message());
        assertTrue(outcome.message().contains(reason), outcome.message());
        assertEquals(1, outcome.message().lines().count(), outcome.message());
    }

    @Test
    void whatCanNeverBeWrittenIsSaidBeforeTheWork() throws Exception {
        Path circle = Files.createSymbolicLink(folder.resolve("circle.png"), Path.of("back.png"));
        Files.createSymbolicLink(folder.resolve("back.png"), circle);
        Path missing = Files.createSymbolicLink(folder.resolve("missing.png"), Path.of("gone/out.png"));
        Path made = Files.createSymbolicLink(folder.resolve("made.png"), Path.of("target.png"));
        String tooLong = "n".repeat(252) + ".png";
        String justFits = "n".repeat(251) + ".png";
        String undecoded = "Caf\uFFFD.png";
        Checks.writable(List.of(made, folder.resolve(justFits)));
        cannotBeWritten("circle.png: cannot be written: its symbolic links go round in a circle", "generate", "--prompt", "a", "-o", circle);
        cannotBeWritten("missing.png: there is no folder " + folder.resolve("gone"), "generate", "--prompt", "a", "-o", missing);
        cannotBeWritten("there is no folder", "generate", "--prompt", "a", "-o", folder.resolve("gone/../out.png"));
        cannotBeWritten("cannot be written: File name too long", "generate", "--prompt", "a", "-o", folder.resolve(tooLong));
        cannotBeWritten("cannot be written: File name too long", "generate", "--prompt", "a", "--count", 2, "-o", folder.resolve(justFits));
        cannotBeWritten("this name holds U+FFFD", "generate", "--prompt", "a", "-o", folder.resolve(undecoded));
        cannotBeWritten("this name holds U+FFFD", "generate", "--prompt", "a", "--face", "sample:1", "--identity-cache", undecoded, "-o",
                folder.resolve("out.png"));
        cannotBeWritten("this name holds U+FFFD", "verify", folder, "--dump", folder.resolve(undecoded));
        cannotBeWritten("this name holds U+FFFD", "bench", "--json", folder.resolve(undecoded));
        cannotBeWritten("or -o - for standard output", "generate", "--prompt", "a", "-o", "/dev/stdout");
        assertEquals(List.of("back.png", "circle.png", "made.png", "missing.png"), names());
    }

    @Test
    void aFolderThatCannotBeWrittenIsSaidThoughTheFileCan() throws Exception {
        Path closed = Files.createDirectory(folder.resolve("closed"));
        Path file = Files.createFile(closed.resolve("out.png"));
        Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("r-xr-xr-x"));
        assumeTrue(!Files.isWritable(closed), "needs a user who may not do everything");
        Path link = Files.createSymbolicLink(folder.resolve("link.png"), Path.of("closed/new.png"));
        for (Path out : List.of(file, link)) {
            cannotBeWritten(out + ": cannot be written: its folder must be writable", "generate", "--prompt", "a", "-o", out);
        }
    }

    @Test
    void aStandardOutputThatTakesNothingIsTold() throws Exception {
        assumeTrue(Files.exists(Path.of("/dev/full")), "a device of Linux");
        for (String command : new String[] {"devices", "--help"}) {
            Run run = Run.to("/dev/full", folder, command);
            assertEquals(1, run.code());
            assertEquals("invadapter: standard output cannot be written: No space left on device", run.err().strip());
        }
        Run run = Run.to("/dev/full", folder, "generate", "--prompt", "a", "--steps", "1", "-q", "-o", "-");
        assertEquals(1, run.code());
        assertEquals("invadapter: standard output: the picture cannot be written: No space left on device", run.err().strip());
    }

    /** As in {@code invadapter completion | head -1}. */
    @Test
    void aReaderWhoHasSeenEnoughEndsTheCommandQuietly() throws Exception {
        Path pipe = folder.resolve("pipe");
        assumeTrue(mount("mkfifo", pipe), "needs mkfifo");
        Thread reader = Thread.ofPlatform().start(() -> {
            try {
                Files.newInputStream(pipe).close();
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
        Run run = Run.to(pipe.toString(), folder, "completion");
        reader.join();
        assertEquals("", run.err());
        assertEquals(0, run.code());
    }

    private static boolean mount(Object... command) throws Exception {
        try {
            return new ProcessBuilder(Stream.of(command).map(Object::toString).toList()).redirectErrorStream(true).start().waitFor() == 0;
        } catch (IOException e) {
            return false;
        }
    }

    @Test
    void anIdentityCacheThatCannotBeWrittenIsSaidOnceAndCostsNoPicture() throws Exception {
        Path cache = Files.writeString(folder.resolve("text"), "no folder").resolve("faces");
        Run run = Run.of(folder, List.of(), "generate", "--prompt", "a", "--face", "sample:1", "--steps", 2, "--device", "cpu", "--seed", 1,
                "--count", 2, "--identity-cache", cache);
        assertEquals(0, run.code(), run.err());
        assertEquals(1, run.err().lines().filter(line -> line.contains(cache.toString())).count(), run.err());
        assertEquals(List.of("out-1.png", "out-2.png", "text"), names());
    }

    @Test
    void whatTheLibraryLogsIsSaidOnce() throws Exception {
        List<String> said = new ArrayList<>();
        Notices.to(said::add);
        System.getLogger("io.invadapter").log(System.Logger.Level.WARNING, "the identity cache is off");
        assertEquals(List.of("the identity cache is off"), said);
        assertEquals(1, Logger.getLogger("io.invadapter").getHandlers().length);
    }

    @Test
    void completionOfTheShell() throws Exception {
        PrintStream out = System.out;
        ByteArrayOutputStream script = new ByteArrayOutputStream();
        try {
            System.setOut(new PrintStream(script, true, StandardCharsets.UTF_8));
            assertEquals(new Outcome(0, ""), run("completion"));
        } finally {
            System.setOut(out);
        }
        assertTrue(script.toString(StandardCharsets.UTF_8).contains("--prompts"));
        Process bash = new ProcessBuilder("bash", "-c", "source /dev/stdin; COMP_WORDS=(invadapter generate --pro); COMP_CWORD=2; "
                + "_complete_invadapter; echo \"${COMPREPLY[@]}\"").start();
        try (var in = bash.getOutputStream()) {
            in.write(script.toByteArray());
        }
        assertEquals("--prompt --prompts", new String(bash.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip());
    }

    @Test
    void infoSaysWhatAFileIs() {
        PrintStream out = System.out;
        ByteArrayOutputStream listed = new ByteArrayOutputStream();
        try {
            System.setOut(new PrintStream(listed, true, StandardCharsets.UTF_8));
            assertEquals(new Outcome(0, ""), run("info", BundledModel.adapter()));
        } finally {
            System.setOut(out);
        }
        assertEquals(BundledModel.adapter() + ": an Inv-Adapter", listed.toString(StandardCharsets.UTF_8).lines().findFirst().orElseThrow());
    }
}
