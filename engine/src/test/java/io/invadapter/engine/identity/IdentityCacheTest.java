package io.invadapter.engine.identity;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.PLENTY;
import static io.invadapter.engine.pipeline.Pictures.STEPS;
import static io.invadapter.engine.pipeline.Pictures.STEP_BYTES;
import static io.invadapter.engine.pipeline.Pictures.assertClose;
import static io.invadapter.engine.pipeline.Pictures.latents;
import static io.invadapter.engine.pipeline.Pictures.open;
import static io.invadapter.engine.pipeline.Pictures.phases;
import static io.invadapter.engine.pipeline.Pictures.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.ChildProcess;
import io.invadapter.engine.pipeline.Pictures;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.engine.pipeline.WatchedDevice;
import io.invadapter.engine.request.Cancellation;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The next picture of a face: the same as without anything kept, but without the inversion; and never more memory than allowed. */
@Timeout(600)
class IdentityCacheTest {
    private static final Set<String> FROM_CACHE = Set.of("generating", "decoding");
    private static final Set<String> COMPUTED = Set.of("inverting", "generating", "decoding");
    /** More than a file takes beside the values. */
    private static final long HEADER = 2048;
    private static final long ALL_BYTES = STEPS * STEP_BYTES;
    private static final long ALL_ON_DISK = STEPS * (STEP_BYTES + HEADER);

    private static Pipeline plain;

    @TempDir
    private Path folder;

    @BeforeAll
    static void openPipeline() {
        plain = open(IdentityBudget.NONE);
    }

    @AfterAll
    static void closePipeline() {
        plain.close();
    }

    private static GenerationRequest.Builder face(int number) {
        return request(FACES.get(number), "a person", 10 + number);
    }

    private static void assertAsWithout(Pipeline pipeline, GenerationRequest.Builder request) {
        assertArrayEquals(latents(plain, request), latents(pipeline, request));
    }

    private long bytesInFolder() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
        }
    }

    private List<Path> filesInFolder() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(Files::isRegularFile).sorted().toList();
        }
    }

    // --- the same pictures ------------------------------------------------------------------------------------------

    /** Steps that fit on the device, on the host and in the folder. */
    @ParameterizedTest
    @CsvSource({"3, 0, 0", "0, 3, 0", "0, 0, 3", "1, 1, 1", "1, 0, 9"})
    void theNextPictureOfAFaceIsTheSameFromEveryPlace(int device, int host, int disk) {
        IdentityBudget budget = new IdentityBudget(device * STEP_BYTES + 1, host * STEP_BYTES + 1, disk * (STEP_BYTES + HEADER),
                disk == 0 ? null : folder);
        try (Pipeline pipeline = open(budget)) {
            assertEquals(COMPUTED, phases(pipeline, face(0)));
            for (long seed = 1; seed < 3; seed++) {
                GenerationRequest.Builder next = request(FACES.get(0), "a happy person " + seed, seed).identityScale(0.8);
                assertEquals(FROM_CACHE, phases(pipeline, next));
                assertAsWithout(pipeline, next);
            }
        }
    }

    @Test
    void thePictureThatFillsTheCacheIsTheSame() {
        try (Pipeline pipeline = open(PLENTY)) {
            assertAsWithout(pipeline, face(0));
        }
    }

    @Test
    void anotherCaptionOrNumberOfStepsIsAnotherIdentity() {
        try (Pipeline pipeline = open(PLENTY)) {
            assertEquals(COMPUTED, phases(pipeline, face(0)));
            assertEquals(COMPUTED, phases(pipeline, face(0).caption("a cartoon")));
            assertEquals(COMPUTED, phases(pipeline, face(0).steps(2)));
            assertEquals(COMPUTED, phases(pipeline, face(1)));
            assertEquals(FROM_CACHE, phases(pipeline, face(0)));
            assertEquals(FROM_CACHE, phases(pipeline, face(0).size(104, 136)));
            assertAsWithout(pipeline, face(0).steps(2));
        }
    }

    @Test
    void aBatchOfKnownAndNewFacesKeepsEachOnce() {
        WatchedDevice device = new WatchedDevice();
        try (Pipeline pipeline = open(PLENTY, device)) {
            pipeline.generate(face(0).build());
            List<GenerationRequest> requests = List.of(face(0).build(), face(1).build());
            for (int round = 0; round < 2; round++) {
                List<GenerationResult> found = pipeline.generate(requests);
                for (int i = 0; i < 2; i++) {
                    assertClose(plain.generate(requests.get(i)), found.get(i));
                }
            }
            assertEquals(FROM_CACHE, phases(pipeline, face(1)));
            long before = device.keptBytes();
            pipeline.generate(requests);
            assertEquals(before, device.keptBytes());
        }
        assertEquals(0, device.keptBytes(), "closed");
    }

    // --- budgets ----------------------------------------------------------------------------------------------------

    @Test
    void whatWasUsedLongestAgoGoesFirst() {
        try (Pipeline pipeline = open(new IdentityBudget(2 * ALL_BYTES, 0, 0, null))) {
            phases(pipeline, face(0));
            phases(pipeline, face(1));
            assertEquals(FROM_CACHE, phases(pipeline, face(0)));
            phases(pipeline, face(2));
            assertEquals(FROM_CACHE, phases(pipeline, face(0)));
            assertEquals(FROM_CACHE, phases(pipeline, face(2)));
            assertEquals(COMPUTED, phases(pipeline, face(1)));
        }
    }

    @Test
    void whatTheDeviceHasNoRoomForMovesOnInTheOrderOfUse() throws IOException {
        try (Pipeline pipeline = open(new IdentityBudget(ALL_BYTES, ALL_BYTES, 2 * ALL_ON_DISK, folder))) {
            for (int i = 0; i < 3; i++) {
                phases(pipeline, face(i));
            }
            assertEquals(STEPS, filesInFolder().size());
            for (int i : new int[] {2, 1, 0}) {
                assertEquals(FROM_CACHE, phases(pipeline, face(i)));
                assertAsWithout(pipeline, face(i));
            }
            phases(pipeline, face(3));
            assertEquals(FROM_CACHE, phases(pipeline, face(3)));
            assertEquals(FROM_CACHE, phases(pipeline, face(0)));
            assertEquals(FROM_CACHE, phases(pipeline, face(1)));
            assertEquals(COMPUTED, phases(pipeline, face(2)));
        }
    }

    @Test
    void deviceMemoryStaysWithinItsBudget() {
        WatchedDevice none = new WatchedDevice();
        WatchedDevice little = new WatchedDevice();
        long budget = ALL_BYTES + STEP_BYTES / 2;
        try (Pipeline withNone = open(new IdentityBudget(0, ALL_BYTES, 0, null), none);
                Pipeline withLittle = open(new IdentityBudget(budget, ALL_BYTES, 0, null), little)) {
            for (int i : new int[] {0, 1, 2, 2, 0, 1}) {
                withNone.generate(face(i).build());
                withLittle.generate(face(i).build());
                long used = little.keptBytes() - none.keptBytes();
                assertTrue(used > 0 && used <= budget, used + " of " + budget);
            }
        }
    }

    @Test
    void theFolderStaysWithinItsBudgetAndNothingElseInItIsTouched() throws IOException {
        Path foreign = Files.createDirectories(folder.resolve("a".repeat(63))).resolve("thesis.txt");
        Files.writeString(foreign, "mine");
        try (Pipeline pipeline = open(new IdentityBudget(0, 0, ALL_ON_DISK, folder))) {
            for (int i = 0; i < 3; i++) {
                phases(pipeline, face(i));
                assertEquals(STEPS + 1, filesInFolder().size());
                assertTrue(bytesInFolder() <= ALL_ON_DISK);
                assertEquals(FROM_CACHE, phases(pipeline, face(i)));
            }
            assertEquals(COMPUTED, phases(pipeline, face(0)));
        }
        assertEquals("mine", Files.readString(foreign));
    }

    @Test
    void whatDoesNotFitIsNotBegun() throws IOException {
        WatchedDevice device = new WatchedDevice();
        try (Pipeline pipeline = open(new IdentityBudget(ALL_BYTES - 1, 0, STEP_BYTES / 2, folder), device)) {
            pipeline.generate(face(0).build());
            long before = device.keptBytes();
            pipeline.generate(face(0).build());
            assertEquals(before, device.keptBytes());
            assertEquals(List.of(), filesInFolder());
            assertEquals(COMPUTED, phases(pipeline, face(0)));
        }
    }

    @Test
    void oneOfTwoFacesIsKeptWhenThereIsRoomForOne() throws IOException {
        List<GenerationRequest> both = List.of(face(0).build(), face(1).build());
        try (Pipeline device = Pictures.builder(new IdentityBudget(ALL_BYTES, 0, 0, null)).picturesPerBatch(2).open();
                Pipeline disk = Pictures.builder(new IdentityBudget(0, 0, ALL_ON_DISK, folder)).picturesPerBatch(2).open()) {
            for (Pipeline pipeline : List.of(device, disk)) {
                pipeline.generate(both);
                assertEquals(FROM_CACHE, phases(pipeline, face(0)));
                assertEquals(COMPUTED, phases(pipeline, face(1)));
            }
            assertTrue(bytesInFolder() <= ALL_ON_DISK);
        }
    }

    @Test
    void noBudgetIsNegative() {
        assertThrows(IllegalArgumentException.class, () -> new IdentityBudget(0, -1, 0, null));
    }

    @Test
    void aCancelledWalkLeavesNothing() throws IOException {
        WatchedDevice device = new WatchedDevice();
        try (Pipeline pipeline = open(new IdentityBudget(STEP_BYTES, STEP_BYTES, 9 * STEP_BYTES, folder), device)) {
            cancelAfterTwoSteps(pipeline);
            assertEquals(List.of(), filesInFolder());
            long before = device.keptBytes();
            cancelAfterTwoSteps(pipeline);
            assertEquals(before, device.keptBytes());
            assertEquals(COMPUTED, phases(pipeline, face(0)));
            assertEquals(FROM_CACHE, phases(pipeline, face(0)));
        }
    }

    private static void cancelAfterTwoSteps(Pipeline pipeline) {
        Cancellation cancellation = new Cancellation();
        assertThrows(CancellationException.class, () -> pipeline.generate(face(0).cancellation(cancellation).listener((phase, step, steps) -> {
            if (phase.equals("generating") && step == 2) {
                cancellation.cancel();
            }
        }).build()));
    }

    // --- the folder -------------------------------------------------------------------------------------------------

    @Test
    void identitiesOutliveThePipeline() throws IOException {
        IdentityBudget budget = new IdentityBudget(ALL_BYTES, ALL_BYTES, 3 * ALL_ON_DISK, folder);
        try (Pipeline pipeline = open(budget)) {
            phases(pipeline, face(0));
            phases(pipeline, face(1));
            assertEquals(0, bytesInFolder(), "there was room in memory");
        }
        try (Pipeline again = open(budget)) {
            for (int round = 0; round < 2; round++) {
                assertEquals(FROM_CACHE, phases(again, face(0)));
                assertEquals(FROM_CACHE, phases(again, face(1)));
            }
            assertAsWithout(again, face(0));
            assertAsWithout(again, face(1));
        }
    }

    @Test
    void theNewestStayWhenThereIsNotRoomForAll() {
        IdentityBudget budget = new IdentityBudget(2 * ALL_BYTES, 0, ALL_ON_DISK, folder);
        try (Pipeline pipeline = open(budget)) {
            phases(pipeline, face(0));
            phases(pipeline, face(1));
        }
        try (Pipeline again = open(budget)) {
            assertEquals(FROM_CACHE, phases(again, face(1)));
            assertEquals(COMPUTED, phases(again, face(0)));
        }
    }

    @Test
    void pipelinesShareAFolder() throws IOException {
        IdentityBudget budget = new IdentityBudget(0, 0, 2 * ALL_ON_DISK, folder);
        try (Pipeline one = open(budget); Pipeline other = open(budget)) {
            phases(one, face(0));
            filesInFolder().getLast().toFile().delete();
            assertEquals(COMPUTED, phases(other, face(0)), "one that is not whole counts as none");
            assertEquals(FROM_CACHE, phases(one, face(0)));
            assertAsWithout(one, face(0));
            phases(other, face(1));
            phases(other, face(2));
            assertEquals(COMPUTED, phases(one, face(0)), "the other has made room for its own");
            assertAsWithout(one, face(0));
        }
    }

    static Stream<Named<Consumer<Path>>> damages() {
        return Stream.of(
                Named.of("deleted", file -> file.toFile().delete()),
                Named.of("truncated", file -> change(file, channel -> channel.truncate(channel.size() - 1000))),
                Named.of("empty", file -> change(file, channel -> channel.truncate(0))),
                Named.of("another head", file -> change(file, channel -> channel.write(ByteBuffer.wrap(new byte[] {42}), 3))),
                Named.of("another value", file -> change(file, channel -> channel.write(ByteBuffer.wrap(new byte[] {42}), channel.size() / 2))));
    }

    private interface Change {
        void apply(FileChannel channel) throws IOException;
    }

    private static void change(Path file, Change change) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            change.apply(channel);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest
    @MethodSource("damages")
    void aDamagedFolderOnlyCostsTime(Consumer<Path> damage) throws IOException {
        try (Pipeline pipeline = open(new IdentityBudget(0, 0, 2 * ALL_ON_DISK, folder))) {
            phases(pipeline, face(0));
            damage.accept(filesInFolder().get(1));
            assertAsWithout(pipeline, face(0));
            assertEquals(FROM_CACHE, phases(pipeline, face(0)), "kept again");
        }
    }

    @Test
    void aFileThatVanishesWhileTheIdentityIsReadOnlyCostsTime() throws IOException {
        try (Pipeline pipeline = open(new IdentityBudget(0, 0, 2 * ALL_ON_DISK, folder))) {
            phases(pipeline, face(0));
            Path last = filesInFolder().getLast();
            List<String> told = new ArrayList<>();
            GenerationResult result = pipeline.generate(face(0).listener((phase, step, steps) -> {
                told.add(phase + step);
                if (phase.equals("generating") && step == 1) {
                    last.toFile().delete();
                }
            }).build());
            assertArrayEquals(latents(plain, face(0)), result.latents().getFirst().values());
            assertEquals(List.of("generating1", "generating2", "inverting1", "inverting2", "inverting3", "generating3", "decoding1"), told,
                    "no step comes twice");
        }
    }

    @Test
    void aFolderThatCannotBeIsToldOnceAndPicturesAreMadeAllTheSame() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "");
        List<String> notices = new ArrayList<>();
        try (Pipeline pipeline = Pictures.builder(new IdentityBudget(0, 0, 2 * ALL_ON_DISK, file)).notices(notices::add).open()) {
            assertAsWithout(pipeline, face(0));
            assertEquals(COMPUTED, phases(pipeline, face(0)));
            String told = "the identity cache " + file + " cannot be written, so faces are computed anew for each picture: " + file
                    + " is no folder";
            assertEquals(List.of(told), notices);
            Files.delete(file);
            phases(pipeline, face(0));
            assertEquals(FROM_CACHE, phases(pipeline, face(0)), "as soon as it can be");
            assertEquals(1, notices.size());
        }
    }

    /** Every request writes some steps before the one that finds the disk full. */
    @Test
    void aDiskThatIsFullMidwayIsToldOnceUntilAFaceWasKeptAgain() throws IOException {
        try (Pipeline pipeline = open(new IdentityBudget(0, 0, 2 * ALL_ON_DISK, folder))) {
            phases(pipeline, face(0));
        }
        Path last = filesInFolder().getLast();
        Path inTheWay = last.resolve("in the way");
        List<String> notices = new ArrayList<>();
        try (Pipeline pipeline = Pictures.builder(new IdentityBudget(0, 0, 2 * ALL_ON_DISK, folder)).notices(notices::add).open()) {
            for (int i = 1; i <= 2; i++) {
                Files.delete(last);
                Files.createDirectories(inTheWay);
                assertEquals(COMPUTED, phases(pipeline, face(0)));
                assertEquals(COMPUTED, phases(pipeline, face(0)));
                assertEquals(i, notices.size(), notices.toString());
                Files.delete(inTheWay);
                Files.delete(last);
                phases(pipeline, face(0));
                assertEquals(FROM_CACHE, phases(pipeline, face(0)));
            }
        }
    }

    /** In a container every process has the same number. */
    @Test
    void whatAProcessThatWasKilledLeftBehindIsNotInTheWay() throws IOException {
        try (Pipeline pipeline = open(new IdentityBudget(0, 0, 2 * ALL_ON_DISK, folder))) {
            phases(pipeline, face(0));
        }
        for (Path step : filesInFolder()) {
            Files.move(step, step.resolveSibling(step.getFileName() + ".unfinished-" + ProcessHandle.current().pid()));
        }
        List<String> notices = new ArrayList<>();
        try (Pipeline pipeline = Pictures.builder(new IdentityBudget(0, 0, 2 * ALL_ON_DISK, folder)).notices(notices::add).open()) {
            assertEquals(COMPUTED, phases(pipeline, face(0)));
            assertEquals(FROM_CACHE, phases(pipeline, face(0)));
        }
        assertEquals(List.of(), notices);
    }

    @Test
    void aBudgetThatHoldsNoFaceIsToldOnce() {
        List<String> notices = new ArrayList<>();
        try (Pipeline pipeline = Pictures.builder(new IdentityBudget(0, 0, 1000, folder)).notices(notices::add).open()) {
            assertAsWithout(pipeline, face(0));
            assertAsWithout(pipeline, face(0));
        }
        assertEquals(1, notices.size(), notices.toString());
        assertTrue(notices.getFirst().startsWith(folder + ": no face is kept, for one takes "), notices.getFirst());
    }

    /** A process whose files may not grow beyond 64 KiB stands for a full disk. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void aFullDiskIsToldAndPicturesAreMadeAllTheSame() {
        ChildProcess child = ChildProcess.run(List.of("bash", "-c", "ulimit -f 64; exec \"$@\"", "bash"), List.of("-XX:-UsePerfData"),
                FullDisk.class, folder.toString());
        assertEquals(0, child.status(), child.output());
        List<String> logged = child.output().lines().filter(line -> line.startsWith("WARNING: the identity cache")).toList();
        assertEquals(1, logged.size(), child.output());
        assertTrue(logged.getFirst().startsWith("WARNING: the identity cache " + folder + " cannot be written, so faces are computed "
                + "anew for each picture: "), child.output());
        assertTrue(child.output().contains("the same"), child.output());
    }

    static final class FullDisk {
        public static void main(String[] arguments) {
            IdentityBudget budget = new IdentityBudget(0, 0, 1L << 30, Path.of(arguments[0]));
            try (Pipeline pipeline = open(budget);
                    Pipeline without = open(IdentityBudget.NONE)) {
                Pictures.assertSame(without.generate(face(0).build()), pipeline.generate(face(0).build()));
                Pictures.assertSame(without.generate(face(0).build()), pipeline.generate(face(0).build()));
                System.out.println("the same");
            }
        }
    }

    @Test
    void aStepInTheOtherOnesPlaceIsNotTakenForIt() throws IOException {
        try (Pipeline pipeline = open(new IdentityBudget(0, 0, 3 * ALL_ON_DISK, folder))) {
            phases(pipeline, face(0));
            List<Path> files = filesInFolder();
            exchange(files.get(0), files.get(1));
            assertAsWithout(pipeline, face(0));
            assertEquals(FROM_CACHE, phases(pipeline, face(0)), "kept again");
            phases(pipeline, face(1));
            files = filesInFolder();
            exchange(files.get(0), files.get(STEPS));
            assertAsWithout(pipeline, face(0));
            assertAsWithout(pipeline, face(1));
        }
    }

    private static void exchange(Path one, Path other) throws IOException {
        byte[] bytes = Files.readAllBytes(one);
        Files.copy(other, one, StandardCopyOption.REPLACE_EXISTING);
        Files.write(other, bytes);
    }
}
