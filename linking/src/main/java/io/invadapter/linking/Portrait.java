package io.invadapter.linking;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;

/** Makes one small picture with the bundled model and prints its size. */
public final class Portrait {
    private Portrait() {
    }

    public static void main(String[] arguments) {
        try (Pipeline pipeline = Pipeline.builder().model(BundledModel.directory()).adapter(BundledModel.adapter()).open()) {
            GenerationResult result = pipeline.generate(GenerationRequest.builder()
                    .face(BundledModel.faces().getFirst()).prompt("a portrait of a happy person").steps(1).size(64, 64).build());
            System.out.println(pipeline.device().name() + ": " + result.images().getFirst().getWidth() + " pixels");
        }
    }
}
