package io.invadapter.engine.pipeline;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.sampling.Ddim;
import io.invadapter.engine.sampling.Lcm;
import io.invadapter.engine.sampling.Sampler;
import io.invadapter.engine.sampling.Samplers;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What a request takes that does not say it: the numbers a model looks best with. A model folder may name them in a file
 * {@code invadapter.json}, e.g. <code>{"steps": 20, "guidance_scale": 3.5, "sampler": "DPM++ 2M Karras"}</code>.
 *
 * @param sampler empty when there is none
 */
record ModelDefaults(int steps, double guidanceScale, String sampler) {
    private static final String FILE = "invadapter.json";
    private static final ModelDefaults USUAL = new ModelDefaults(50, 7.5, "");

    /** @throws WeightException when there is such a file that says something else */
    static ModelDefaults of(Path model) {
        Path file = model.resolve(FILE);
        if (!Files.isRegularFile(file)) {
            return USUAL;
        }
        JsonValue json = Json.read(file);
        ModelDefaults found = new ModelDefaults(json.find("steps").map(JsonValue::asInt).orElse(USUAL.steps),
                json.find("guidance_scale").map(JsonValue::asDouble).orElse(USUAL.guidanceScale),
                json.find("sampler").map(JsonValue::asString).orElse(USUAL.sampler));
        try {
            GenerationRequest.builder().steps(found.steps).guidanceScale(found.guidanceScale).build();
            if (!found.sampler.isEmpty()) {
                Samplers.named(found.sampler);
            }
        } catch (InvalidRequestException e) {
            throw new WeightException(file + ": " + e.getMessage(), e);
        }
        return found;
    }

    /**
     * What samples a request: what it names, else what the model's folder does. Else a picture of a person takes DDIM, by which the face
     * is inverted, and any other the model's own, which a model for few steps cannot do without.
     */
    Sampler sampler(GenerationRequest request, Sampler own) {
        String name = request.sampler().isEmpty() ? sampler : request.sampler();
        if (!name.isEmpty()) {
            return Samplers.named(name);
        }
        return request.face() == null || own instanceof Lcm ? own : new Ddim();
    }
}
