package io.invadapter.linking;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** What Maven and Gradle read of the libraries. Gradle knows nothing of a profile that a POM activates. */
class PomsTest {
    private static final Path CHECKOUT = Path.of(System.getProperty("basedir", "."), "..");
    private static final List<String> LIBRARIES = List.of("base", "weights-loader", "kernels/api", "kernels/cpu", "kernels/cuda", "engine",
            "bundled-model");

    private static Element pom(String module) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(CHECKOUT.resolve(module).resolve("pom.xml").toFile())
                .getDocumentElement();
    }

    private static List<Element> all(Element parent, String tag) {
        NodeList found = parent.getElementsByTagName(tag);
        List<Element> elements = new ArrayList<>();
        for (int i = 0; i < found.getLength(); i++) {
            elements.add((Element) found.item(i));
        }
        return elements;
    }

    private static String text(Element parent, String tag) {
        return all(parent, tag).getFirst().getTextContent().strip();
    }

    @Test
    void nothingDependsOnTheMachineThatReadsThem() throws Exception {
        for (String module : LIBRARIES) {
            for (Element pom : List.of(pom(module), pom("."))) {
                assertEquals(List.of(), all(pom, "os"), module + ": a profile of an operating system");
                for (Element classifier : all(pom, "classifier")) {
                    assertFalse(classifier.getTextContent().contains("${"), module + ": " + classifier.getTextContent());
                }
            }
        }
        assertTrue(all(pom("kernels/cpu"), "dependency").stream().anyMatch(d -> text(d, "artifactId").equals("dnnl-platform")));
    }

    @Test
    void theLinesForGradleNameTheseVersions() throws Exception {
        String page = Files.readString(CHECKOUT.resolve("docs/java.md"));
        Element pom = pom(".");
        assertTrue(page.contains("invadapter-kernels-cpu:" + text(pom, "version") + "\""));
        Matcher named = Pattern.compile("\\[\"javacpp:(.*)\", \"dnnl:(.*)\", \"opencl:(.*)\"]").matcher(page);
        assertTrue(named.find());
        assertEquals(List.of(text(pom, "javacpp.version"), text(pom, "dnnl.version")), List.of(named.group(1), named.group(2)));
        String brought = System.getProperty("java.class.path") + System.getProperty("jdk.module.path", "");
        assertTrue(brought.contains("opencl-" + named.group(3) + ".jar"), brought);
    }

    @Test
    void theBomNamesEveryLibrary() throws Exception {
        Set<String> expected = new TreeSet<>();
        for (String module : LIBRARIES) {
            Element pom = pom(module);
            pom.removeChild(all(pom, "parent").getFirst());
            expected.add(text(pom, "artifactId"));
        }
        Element bom = pom("bom");
        Set<String> named = new TreeSet<>();
        all(bom, "dependency").forEach(dependency -> named.add(text(dependency, "artifactId")));
        assertEquals(expected, named);
        assertEquals(text(pom("."), "version"), text(bom, "version"));
    }
}
