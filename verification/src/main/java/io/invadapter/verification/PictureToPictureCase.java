package io.invadapter.verification;

import io.invadapter.engine.Latents;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.picture.InitPicture;
import io.invadapter.engine.picture.Mask;
import io.invadapter.engine.picture.Scaling;
import io.invadapter.engine.sampling.Ddim;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.FreshNoise;
import io.invadapter.engine.sampling.Original;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.vae.PictureLatents;
import io.invadapter.verification.Verification.Part;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.ModelFiles;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** {@code img2img-inpaint}: picture to picture, and inpainting with the base model's UNet and with one that is trained for it. */
final class PictureToPictureCase implements GoldenCase {
    private final CaseFolder folder;
    private final StableDiffusion plain;
    private final StableDiffusion trained;
    private final BufferedImage picture;
    private final Mask mask;
    private final float[][] context;
    private final Latents noise;

    PictureToPictureCase(CaseFolder folder) {
        this.folder = folder;
        plain = load(folder.file(folder.parameters().get("base")).resolve("unet"));
        trained = load(folder.file(folder.parameters().get("inpainting_unet")));
        if (plain.unet().config().inpainting() || !trained.unet().config().inpainting()) {
            throw new WeightException(folder.parameters().where() + ": expected as base a model of latents alone, and an inpainting_unet that takes"
                    + " a mask and a picture beside them");
        }
        context = folder.contexts("in.context");
        noise = folder.latents("in.noise", plain.vae().latentChannels());
        picture = read("picture");
        mask = new Mask(read("mask"));
    }

    private StableDiffusion load(Path unet) {
        try (ModelFiles files = folder.model(Map.of("unet", unet))) {
            return folder.load(files);
        }
    }

    /** A picture of as many pixels as there are latents times the VAE's factor. */
    private BufferedImage read(String key) {
        JsonValue name = folder.parameters().get(key);
        BufferedImage read = InitPicture.read(folder.file(name), System.err::println);
        int width = noise.width() * plain.vae().factor();
        int height = noise.height() * plain.vae().factor();
        if (read.getWidth() != width || read.getHeight() != height) {
            throw new WeightException(name.where() + " is " + name + " of " + read.getWidth() + " x " + read.getHeight() + " pixels where " + width
                    + " x " + height + " are expected");
        }
        return Scaling.cover(read, width, height);
    }

    @Override
    public void compute(Set<Part> parts, Results results) {
        int height = picture.getHeight();
        int width = picture.getWidth();
        float[] image = PictureLatents.toModel(picture);
        Latents latentMask = mask.ofLatents(plain.vae().factor());
        results.put("image", image);
        results.put("mask", mask.values());
        results.put("masked_image", mask.hide(image));
        results.put("latent_mask", latentMask.values());
        if (parts.contains(Part.VAE)) {
            results.put("z0", PictureLatents.encode(image, height, width, plain.vae()).values());
            results.put("masked_z0", PictureLatents.encode(mask.hide(image), height, width, plain.vae()).values());
        }
        if (parts.contains(Part.UNET)) {
            int timestep = folder.timestep(folder.parameters().get("t"), plain.schedule());
            Latents canvas = new Original(picture, mask, 1, trained.unet(), trained.vae()).inpainting(noise).canvas();
            results.put("eps.4", pass(plain, noise, timestep));
            results.put("eps.9", pass(trained, Latents.joined(noise, canvas), timestep));
        }
        if (parts.contains(Part.LOOPS)) {
            for (JsonValue strength : folder.parameters().get("strengths").asList()) {
                loop("img2img", strength, plain, null, results);
                loop("inpaint4", strength, plain, mask, results);
                loop("inpaint9", strength, trained, mask, results);
            }
        }
    }

    private float[] pass(StableDiffusion model, Latents x, int timestep) {
        return new CaseModel(model).pass(Latents.stack(List.of(x, x)), timestep, context);
    }

    private void loop(String name, JsonValue strength, StableDiffusion model, Mask repainted, Results results) {
        Walk walk = new Ddim().walk(model.schedule(), folder.parameters().get("steps").asInt(), strength.asDouble());
        Original original = new Original(picture, repainted, strength.asDouble(), model.unet(), model.vae());
        double guidance = folder.guidance();
        try (Diffusion diffusion = model.diffusion()) {
            results.put("loop." + name + "." + strength, diffusion.generate(new Sampling(original.start(noise, walk), original.inpainting(noise),
                    List.of(new Diffusion.Guidance(context[1], context[0], guidance)), walk, FreshNoise.NONE, List.of()), CaseModel.QUIET).values());
        }
    }
}
