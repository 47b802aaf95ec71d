package io.invadapter.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.engine.pipeline.Pipeline;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleFinder;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** The engine knows no device: only the interface of the kernels and the loader of the weights. */
class DependenciesTest {

    /** Scopes of which the parent's dependency management has said {@code test}. */
    private static final Set<String> TEST_ONLY = Set.of("junit-jupiter");

    @Test
    void mavenDependencies() throws Exception {
        Path pom = Path.of(System.getProperty("basedir", "."), "pom.xml");
        Element project = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(pom.toFile()).getDocumentElement();
        NodeList dependencies = project.getElementsByTagName("dependency");
        Set<String> names = new TreeSet<>();
        for (int i = 0; i < dependencies.getLength(); i++) {
            Element dependency = (Element) dependencies.item(i);
            String name = text(dependency, "artifactId");
            if (!TEST_ONLY.contains(name) && !text(dependency, "scope").equals("test")) {
                names.add(text(dependency, "groupId") + ":" + name);
            }
        }
        assertEquals(Set.of("io.invadapter:invadapter-weights-loader", "io.invadapter:invadapter-kernels-api"), names);
    }

    private static String text(Element parent, String tag) {
        NodeList found = parent.getElementsByTagName(tag);
        return found.getLength() == 0 ? "" : found.item(0).getTextContent().strip();
    }

    @Test
    void requiredModules() throws Exception {
        Module module = Pipeline.class.getModule();
        ModuleDescriptor descriptor = module.isNamed() ? module.getDescriptor()
                : ModuleFinder.of(Path.of(Pipeline.class.getProtectionDomain().getCodeSource().getLocation().toURI()))
                        .find("io.invadapter.engine").orElseThrow().descriptor();
        assertEquals("io.invadapter.engine", descriptor.name());
        assertEquals(Set.of("java.base", "java.desktop", "io.invadapter.weights", "io.invadapter.kernels"),
                descriptor.requires().stream().map(ModuleDescriptor.Requires::name).collect(Collectors.toSet()));
        assertEquals(Set.of(), descriptor.uses(), "devices are found by the kernels");
    }
}
