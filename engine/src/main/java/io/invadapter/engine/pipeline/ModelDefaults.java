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
 * @param namedSteps    0 when the file names none
 * @param namedGuidance not a number when the file names none
 * @param namedSampler  empty when the file names none
 */
record ModelDefaults(int namedSteps, double namedGuidance, String namedSampler) {
    private static final String FILE = "invadapter.json";
    private static final ModelDefaults NONE = new ModelDefaults(0, Double.NaN, "");

    /** @throws WeightException when there is such a file that says something else */
    static ModelDefaults of(Path model) {
        Path file = model.resolve(FILE);
        if (!Files.isRegularFile(file)) {
            return NONE;
        }
        JsonValue json = Json.read(file);
        GenerationRequest.Builder request = GenerationRequest.builder();
        try {
            json.find("steps").map(JsonValue::asInt).ifPresent(request::steps);
            json.find("guidance_scale").map(JsonValue::asDouble).ifPresent(request::guidanceScale);
            GenerationRequest found = request.sampler(json.find("sampler").map(JsonValue::asString).orElse("")).build();
            if (!found.sampler().isEmpty()) {
                Samplers.named(found.sampler());
            }
            return new ModelDefaults(found.steps(), found.guidanceScale(), found.sampler());
        } catch (InvalidRequestException e) {
            throw new WeightException(file + ": " + e.getMessage(), e);
        }
    }

    /** @param own the model's sampler: latent consistency models need few steps, and diffusers' defaults for them are taken */
    int steps(Sampler own) {
        return namedSteps != 0 ? namedSteps : own instanceof Lcm ? 4 : 50;
    }

    /** @param own as for {@link #steps} */
    double guidanceScale(Sampler own) {
        return !Double.isNaN(namedGuidance) ? namedGuidance : own instanceof Lcm ? 8.5 : 7.5;
    }

    /**
     * What samples a request: what it names, else what the model's folder does; the model's own, with the options of its file, when that has
     * the name. Else a picture of a person takes DDIM, by which the face is inverted, and any other the model's own, which a model for few
     * steps cannot do without.
     */
    Sampler sampler(GenerationRequest request, Sampler own) {
        String name = request.sampler().isEmpty() ? namedSampler : request.sampler();
        if (!name.isEmpty()) {
            Sampler named = Samplers.named(name);
            return named.name().equals(own.name()) ? own : named;
        }
        return request.face() == null || own instanceof Lcm ? own : new Ddim();
    }
}
