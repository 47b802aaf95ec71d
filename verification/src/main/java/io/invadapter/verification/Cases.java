package io.invadapter.verification;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.weights.json.JsonValue;
import java.nio.file.Files;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;

/** The cases that there are, by the name that case.json gives them. */
final class Cases {
    private static final Map<String, Function<CaseFolder, GoldenCase>> BY_NAME = byName();

    private Cases() {
    }

    private static Map<String, Function<CaseFolder, GoldenCase>> byName() {
        Map<String, Function<CaseFolder, GoldenCase>> cases = new TreeMap<>();
        cases.put("samplers", SamplersCase::new);
        cases.put("lcm", LcmCase::new);
        cases.put("sd2", StableDiffusion2Case::new);
        cases.put("lora", LoraCase::new);
        cases.put("textual-inversion", TextualInversionCase::new);
        cases.put("img2img-inpaint", PictureToPictureCase::new);
        return cases;
    }

    /** @throws InvalidRequestException when case.json names none of these */
    static void requireKnown(JsonValue parameters) {
        parameters.find("case").filter(name -> !BY_NAME.containsKey(name.asString())).ifPresent(name -> {
            throw new InvalidRequestException(name.where() + " is " + name + ", which this version does not compute; expected "
                    + String.join(", ", BY_NAME.keySet()) + ", or no \"case\" for a model folder or synthetic weights");
        });
    }

    /** The case of a folder; without a name, a model's or that of synthetic weights. */
    static GoldenCase of(CaseFolder folder) {
        Optional<JsonValue> name = folder.parameters().find("case");
        if (name.isEmpty()) {
            return Files.exists(folder.path().resolve("shapes.json")) ? new SyntheticCase(folder) : new ModelCase(folder);
        }
        return BY_NAME.get(name.get().asString()).apply(folder);
    }
}
