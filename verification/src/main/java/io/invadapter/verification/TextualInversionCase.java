package io.invadapter.verification;

import io.invadapter.engine.model.Loras;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.verification.Verification.Part;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.ModelFiles;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** Prompts with the placeholders of textual inversions: their token ids, which must be equal, and the text encoder's output. */
final class TextualInversionCase implements GoldenCase {
    private final CaseFolder folder;
    private final StableDiffusion model;

    TextualInversionCase(CaseFolder folder) {
        this.folder = folder;
        List<Path> files = folder.parameters().get("embeddings").asList().stream().map(embedding -> folder.file(embedding.get("file"))).toList();
        try (ModelFiles base = folder.model()) {
            this.model = StableDiffusion.load(base, Loras.NONE, files, folder.device(), System.err::println, ProgressListener.NONE);
        }
    }

    @Override
    public void compute(Set<Part> parts, Results results) {
        if (!parts.contains(Part.TEXT)) {
            return;
        }
        List<JsonValue> prompts = folder.parameters().get("prompts").asList();
        for (int i = 0; i < prompts.size(); i++) {
            int[] ids = model.tokenizer().encode(prompts.get(i).asString()).ids();
            results.put("ids." + i, ids);
            results.tokens("ids." + i, ids, folder.integers("ids." + i));
            results.put("text." + i, model.textEncoder().encode(ids));
        }
    }
}
