package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What a module descriptor would hold, which this module cannot have: see its pom.xml. */
class BoundaryTest {
    /** Each stands behind a seam: CudaDriver, Blas, Dnn. */
    private static final Set<String> BEHIND_A_SEAM = Set.of("JCudaDriverApi.java", "InstalledGpu.java", "JCublasCalls.java",
            "JCudnnDnn.java", "Cudnn.java", "Descriptor.java", "ClassicWay.java");

    private static final Pattern IMPORT = Pattern.compile("^import (?:static )?([\\w.]+);", Pattern.MULTILINE);

    @Test
    void onlyWhatStandsBehindASeamKnowsJCuda() throws IOException {
        try (Stream<Path> files = Files.walk(Path.of("src/main/java"))) {
            List<Path> sources = files.filter(f -> f.toString().endsWith(".java")).toList();
            assertTrue(sources.size() > 5);
            for (Path source : sources) {
                boolean mayUseJCuda = BEHIND_A_SEAM.contains(source.getFileName().toString());
                Matcher m = IMPORT.matcher(Files.readString(source));
                while (m.find()) {
                    String name = m.group(1);
                    boolean allowed = name.startsWith("java.") || name.startsWith("io.invadapter.kernels.") || name.startsWith("io.invadapter.base.")
                            || mayUseJCuda && name.startsWith("jcuda.");
                    assertTrue(allowed, source + " imports " + name);
                }
            }
        }
    }

    @Test
    void nothingElseIsBroughtAlong() throws IOException {
        Matcher m = Pattern.compile("<dependency>(.*?)</dependency>", Pattern.DOTALL)
                .matcher(Files.readString(Path.of("pom.xml")));
        List<String> shipped = m.results().map(r -> r.group(1)).filter(d -> !d.contains("junit") && !d.contains("<scope>test<"))
                .map(d -> d.replaceAll("(?s)<exclusions>.*</exclusions>", ""))
                .map(d -> d.replaceAll("(?s).*<artifactId>(.*?)</artifactId>.*", "$1")).sorted().toList();
        assertEquals(List.of("invadapter-kernels-api", "jcublas", "jcublas-natives", "jcuda", "jcuda-natives", "jcudnn",
                "jcudnn-natives"), shipped);
    }
}
