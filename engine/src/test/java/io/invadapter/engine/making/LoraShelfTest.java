package io.invadapter.engine.making;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.model.Loras;
import io.invadapter.engine.nn.Network;
import io.invadapter.engine.pipeline.Pictures;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which parts of a model change with a request's LoRAs, and that they are those of files that stay what they were. */
class LoraShelfTest {
    private static final String REST = " has changed since it was opened, and is read again to change LoRAs or because memory is short: open the model anew";

    @TempDir
    private Path folder;
    private LoraUse style;
    private LoraUse words;

    @BeforeEach
    void write() {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            style = LoraUse.of(Pictures.lora(folder, "style", "lora_unet_", files.unet(), ".*attn1\\.to_v\\.weight", 1), 1);
            words = LoraUse.of(Pictures.lora(folder, "words", "lora_te_text_model_", files.textEncoder(), ".*self_attn\\.v_proj\\.weight", 2), 1);
        }
    }

    private LoraShelf shelf(LoraUse... own) {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory()); Loras loras = Loras.open(List.of(own), notice -> { })) {
            return new LoraShelf(BundledModel.directory(), files, loras, "own", notice -> { });
        }
    }

    /** As another program does that writes the file anew. */
    private static void touch(Path file) throws IOException {
        Files.setLastModifiedTime(file, FileTime.fromMillis(Files.getLastModifiedTime(file).toMillis() + 5000));
    }

    @Test
    void onlyThePartsThatRequestsChangeAreLoadedAgain() {
        LoraShelf shelf = shelf(style, words);
        assertEquals(Set.of("unet"), shelf.layOver(List.of(style)));
        assertEquals(Set.of(), shelf.layOver(List.of(style)));
        assertEquals(Set.of("unet"), shelf.layOver(List.of(LoraUse.of(style.file(), 0.5))));
        assertEquals(Set.of("unet", "text_encoder"), shelf.layOver(List.of(words)));
        assertEquals(Set.of("text_encoder"), shelf.layOver(List.of()));
        assertEquals(Set.of(), shelf.layOver(List.of(new LoraUse(style.file(), 1, 0))));
    }

    @Test
    void underARequestsLorasAreThePipelinesAsTheyWere() throws IOException {
        LoraShelf shelf = shelf(words);
        shelf.layOver(List.of(style));
        String with = shelf.fingerprint();
        FileTime written = Files.getLastModifiedTime(words.file());
        touch(words.file());
        for (List<LoraUse> loras : List.of(List.<LoraUse>of(), List.of(LoraUse.of(style.file(), 0.5)))) {
            assertEquals(words.file() + REST, assertThrows(WeightException.class, () -> shelf.layOver(loras)).getMessage());
            assertEquals(with, shelf.fingerprint());
        }
        Files.setLastModifiedTime(words.file(), written);
        assertEquals(Set.of("unet"), shelf.layOver(List.of()));
        assertEquals("own", shelf.fingerprint());
    }

    /** PEFT's alphas are not in the file with the factors. */
    @Test
    void aConfigurationThatHasChangedIsNotReadAgain() throws IOException {
        Path peft = Files.createDirectory(folder.resolve("peft"));
        String layer = "base_model.model.text_model.encoder.layers.0.self_attn.v_proj.lora_";
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            int channels = (int) files.textEncoder().tensor("final_layer_norm.weight").shape()[0];
            new SafetensorsWriter().add(layer + "A.weight", new long[] {1, channels}, new float[channels])
                    .add(layer + "B.weight", new long[] {channels, 1}, new float[channels]).write(peft.resolve("adapter_model.safetensors"));
        }
        Path config = Files.writeString(peft.resolve("adapter_config.json"), "{\"peft_type\": \"LORA\", \"lora_alpha\": 8}");
        LoraUse lora = LoraUse.of(peft, 1);
        LoraShelf shelf = shelf();
        LoraShelf own = shelf(lora);
        shelf.layOver(List.of(lora));
        Network network = () -> { };
        shelf.read("text_encoder", weights -> network);
        touch(config);
        assertEquals(config + REST, assertThrows(WeightException.class, () -> shelf.read("text_encoder", weights -> network)).getMessage());
        assertEquals(config + REST, assertThrows(WeightException.class, () -> own.layOver(List.of(style))).getMessage());
        // A request that comes later is for what there is now.
        shelf.layOver(List.of());
        shelf.layOver(List.of(lora));
        shelf.read("text_encoder", weights -> network);
    }

    @Test
    void oneThatCannotBeLaidOverLeavesAllAsItWas() {
        LoraShelf shelf = shelf(words);
        shelf.layOver(List.of(style));
        String with = shelf.fingerprint();
        assertNotEquals("own", with);
        Path other = folder.resolve("other.safetensors");
        new SafetensorsWriter().add("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", new long[] {1, 5}, new float[5])
                .add("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", new long[] {5, 1}, new float[5]).write(other);
        for (Path file : List.of(other, folder.resolve("no.safetensors"))) {
            assertThrows(WeightException.class, () -> shelf.layOver(List.of(LoraUse.of(file, 1))));
            assertEquals(with, shelf.fingerprint());
            assertEquals(Set.of(), shelf.layOver(List.of(style)));
        }
        assertEquals(Set.of("unet"), shelf.layOver(List.of()));
    }
}
