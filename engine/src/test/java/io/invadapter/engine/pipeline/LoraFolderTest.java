package io.invadapter.engine.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.request.LoraUse;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Names in prompts lead to files below a folder. */
class LoraFolderTest {
    @TempDir
    private Path folder;

    private void file(String name) throws IOException {
        Files.createDirectories(folder.resolve(name).getParent());
        Files.createFile(folder.resolve(name));
    }

    private String refusal(String prompt) {
        return assertThrows(InvalidRequestException.class, () -> new LoraFolder(folder).of(prompt)).getMessage();
    }

    @Test
    void aNameIsThatOfAFileAnywhereBelow() throws IOException {
        file("styles/ink/Ink v1.2.safetensors");
        file("watercolour.SafeTensors");
        file("readme.txt");
        LoraFolder loras = new LoraFolder(folder);
        assertEquals(List.of("Ink v1.2", "watercolour"), loras.names());
        assertEquals(List.of(new LoraUse(folder.resolve("watercolour.SafeTensors"), 0.5, 1), new LoraUse(folder.resolve("styles/ink/Ink v1.2.safetensors"), 0.7, 0.7)),
                loras.of("a cat <lora:watercolour:0.5:1>, <lora:ink V1.2:0.7>"));
        assertEquals(List.of(), loras.of("a cat"));
    }

    @Test
    void anUnknownNameIsOneSentenceWithThoseThatAreNear() throws IOException {
        for (String name : List.of("watercolour", "watercolor_v2", "ink", "pixel-art", "anime")) {
            file(name + ".safetensors");
        }
        assertEquals("<lora:watercolor:1>: there is no 'watercolor.safetensors' in " + folder + ", but 'watercolor_v2', 'watercolour', 'anime', …",
                refusal("<lora:watercolor:1>"));
        assertEquals("<lora:pixelart>: there is no 'pixelart.safetensors' in " + folder + ", but 'pixel-art', 'anime', 'ink', …", refusal("<lora:pixelart>"));
    }

    @Test
    void whatIsNotOneFileIsRefused() throws IOException {
        assertEquals("<lora:ink>: there is no 'ink.safetensors' in " + folder + ", nor any other LoRA", refusal("<lora:ink>"));
        file("a/ink.safetensors");
        file("b/ink.safetensors");
        assertEquals("<lora:ink>: there are several of that name, a/ink.safetensors and b/ink.safetensors in " + folder, refusal("<lora:ink>"));
        Path nothing = folder.resolve("nothing");
        assertEquals(nothing + " does not exist; expected a folder with LoRAs",
                assertThrows(InvalidRequestException.class, () -> new LoraFolder(nothing)).getMessage());
    }
}
