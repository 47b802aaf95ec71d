package io.invadapter.verification;

import io.invadapter.base.RelativeError;
import io.invadapter.engine.Latents;
import io.invadapter.engine.model.Loras;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.nn.Network;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.verification.Verification.Part;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.ModelFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.Function;

/**
 * {@code lora}: text encoder and UNet with LoRAs laid over one loaded model, run by run. Files that hold the same update in other
 * namings must give the same: of their results the worst one counts.
 */
final class LoraCase implements GoldenCase {
    private final CaseFolder folder;
    private final StableDiffusion model;
    private Loras loras = Loras.NONE;

    LoraCase(CaseFolder folder) {
        this.folder = folder;
        this.model = folder.load(this::read);
    }

    private <N extends Network> N read(String part, Function<WeightSource, N> making) {
        try (ModelFiles files = folder.model()) {
            return making.apply(loras.over(files, part));
        }
    }

    @Override
    public void compute(Set<Part> parts, Results results) {
        for (JsonValue run : folder.parameters().get("runs").asList()) {
            for (List<LoraUse> uses : variants(run.get("loras"))) {
                try (Loras opened = Loras.open(uses, System.err::println)) {
                    loras = opened;
                    model.leave(Loras.PARTS);
                    compute(run.get("name").asString(), parts, results);
                }
            }
        }
    }

    private void compute(String run, Set<Part> parts, Results results) {
        float[][] texts = texts();
        if (parts.contains(Part.TEXT)) {
            put(results, "text." + run, joined(texts));
        }
        if (parts.contains(Part.UNET)) {
            CaseModel networks = new CaseModel(model);
            Latents x = folder.latents("in.x", model.vae().latentChannels());
            int timestep = folder.timestep(folder.parameters().get("t"), model.schedule());
            put(results, "eps." + run, networks.pass(x, timestep, folder.contexts("in.context")));
            put(results, "eps_text." + run, networks.pass(x, timestep, texts));
        }
    }

    private float[][] texts() {
        return Arrays.stream(folder.tokens("in.ids", model.tokenizer())).map(model.textEncoderPart().use()::encode).toArray(float[][]::new);
    }

    /** @param result of one file; kept when it is further from the reference than those of the others */
    private void put(Results results, String key, float[] result) {
        float[] before = results.of(key);
        if (before == null || !folder.golden().contains(key)) {
            results.put(key, result);
            return;
        }
        float[] expected = folder.values(key, result.length);
        double known = RelativeError.of(before, expected);
        // Not-a-number is the worst.
        if (!Double.isNaN(known) && !(RelativeError.of(result, expected) <= known)) {
            results.put(key, result);
        }
    }

    private static float[] joined(float[][] rows) {
        float[] all = new float[rows.length * rows[0].length];
        for (int i = 0; i < rows.length; i++) {
            System.arraycopy(rows[i], 0, all, i * rows[i].length, rows[i].length);
        }
        return all;
    }

    /** The LoRAs of a run: as they are named, and with each file that holds the same in its place. */
    private List<List<LoraUse>> variants(JsonValue loras) {
        List<List<LoraUse>> variants = new ArrayList<>(List.of(List.of()));
        for (JsonValue lora : loras.asList()) {
            double scale = lora.get("scale").asDouble();
            List<List<LoraUse>> longer = new ArrayList<>();
            for (Path file : sameAs(lora.get("file"))) {
                for (List<LoraUse> variant : variants) {
                    List<LoraUse> with = new ArrayList<>(variant);
                    with.add(LoraUse.of(file, scale));
                    longer.add(with);
                }
            }
            variants = longer;
        }
        return variants;
    }

    private List<Path> sameAs(JsonValue file) {
        for (JsonValue group : folder.parameters().find("same_update").map(JsonValue::asList).orElse(List.of())) {
            if (group.asList().contains(file)) {
                return group.asList().stream().map(folder::file).toList();
            }
        }
        return List.of(folder.file(file));
    }
}
