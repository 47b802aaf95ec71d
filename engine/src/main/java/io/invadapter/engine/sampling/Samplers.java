package io.invadapter.engine.sampling;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.nn.Config;
import io.invadapter.engine.sampling.NoiseSchedule.Spacing;
import io.invadapter.weights.json.JsonValue;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** All samplers, by the names that stable-diffusion-webui, ComfyUI and diffusers give them. */
public final class Samplers {
    private static final List<Entry> ENTRIES = List.of(
            fixed(Ddim::new, options -> new Ddim(), "DDIM", "DDIMScheduler", "DDIMParallelScheduler"),
            fixed(Ddpm::new, Ddpm::of, "DDPM", "DDPMScheduler", "DDPMParallelScheduler"),
            fixed(() -> new Pndm(false), Pndm::of, "PLMS", "PNDMScheduler"),
            fixed(() -> new Pndm(true), Pndm::of, "PNDM"),
            levelled(sigmas -> new Euler(false, sigmas), Euler::of, "Euler", "EulerDiscreteScheduler"),
            levelled(sigmas -> new Euler(true, sigmas), options -> new Euler(true, Sigmas.NORMAL), "Euler a", "euler_ancestral",
                    "EulerAncestralDiscreteScheduler"),
            levelled(Heun::new, options -> new Heun(options.sigmas()), "Heun", "HeunDiscreteScheduler"),
            levelled(sigmas -> new Dpm2(false, sigmas), options -> new Dpm2(false, options.sigmas()), "DPM2", "KDPM2DiscreteScheduler"),
            levelled(sigmas -> new Dpm2(true, sigmas), options -> new Dpm2(true, options.sigmas()), "DPM2 a", "dpm_2_ancestral",
                    "KDPM2AncestralDiscreteScheduler"),
            levelled(Lms::new, options -> new Lms(options.sigmas()), "LMS", "LMSDiscreteScheduler"),
            levelled(sigmas -> new DpmPlusPlusMultistep(2, false, sigmas), DpmPlusPlusMultistep::of, "DPM++ 2M", "DPMSolverMultistepScheduler"),
            levelled(sigmas -> new DpmPlusPlusMultistep(2, true, sigmas), DpmPlusPlusMultistep::of, "DPM++ 2M SDE", "dpmpp_2m_sde_gpu"),
            levelled(sigmas -> new DpmPlusPlusMultistep(1, false, sigmas), DpmPlusPlusMultistep::of, "DPM++ 1M"),
            levelled(sigmas -> new DpmPlusPlusMultistep(1, true, sigmas), DpmPlusPlusMultistep::of, "DPM++ 1M SDE"),
            levelled(sigmas -> new DpmPlusPlusMultistep(3, false, sigmas), DpmPlusPlusMultistep::of, "DPM++ 3M"),
            levelled(sigmas -> new DpmPlusPlusMultistep(3, true, sigmas), DpmPlusPlusMultistep::of, "DPM++ 3M SDE", "dpmpp_3m_sde_gpu"),
            levelled(DpmPlusPlusSinglestep::new, DpmPlusPlusSinglestep::of, "DPM++ 2S", "DPMSolverSinglestepScheduler"),
            levelled(DpmPlusPlusSde::new, options -> new DpmPlusPlusSde(options.sigmas()), "DPM++ SDE", "dpmpp_sde_gpu", "DPMSolverSDEScheduler"),
            levelled(UniPc::new, UniPc::of, "UniPC", "uni_pc_bh2", "UniPCMultistepScheduler"),
            levelled(Deis::new, Deis::of, "DEIS", "DEISMultistepScheduler"),
            fixed(Lcm::new, Lcm::of, "LCM", "LCMScheduler"));

    /** ComfyUI's schedulers and webui's schedule types that say how timesteps are spaced. */
    private static final Map<String, Spacing> SPACINGS = Map.of("normal", Spacing.LINSPACE, "uniform", Spacing.LINSPACE,
            "linspace", Spacing.LINSPACE, "simple", Spacing.TRAILING, "sgm uniform", Spacing.TRAILING, "trailing", Spacing.TRAILING,
            "ddim uniform", Spacing.LEADING, "leading", Spacing.LEADING);

    private static final Pattern ETA = Pattern.compile("ddim[ _-]eta[ _=-]([0-9.]+)", Pattern.CASE_INSENSITIVE);

    private Samplers() {
    }

    /**
     * @param levelled   whether karras and exponential levels go with it
     * @param named      makes it
     * @param configured makes it as a model's file wants it
     * @param names      webui's first
     */
    private record Entry(boolean levelled, Function<Sigmas, Sampler> named, Function<SamplerOptions, Sampler> configured, List<String> names) {
        boolean is(String name) {
            return names.stream().anyMatch(own -> plain(own).equals(plain(name)));
        }
    }

    private static Entry fixed(Supplier<Sampler> named, Function<SamplerOptions, Sampler> configured, String... names) {
        return new Entry(false, sigmas -> named.get(), configured, List.of(names));
    }

    private static Entry levelled(Function<Sigmas, Sampler> named, Function<SamplerOptions, Sampler> configured, String... names) {
        return new Entry(true, named, configured, List.of(names));
    }

    /** A sampler with timesteps spaced as somebody asked for, instead of as the model's file says. */
    private record Respaced(Sampler sampler, Spacing spacing) implements Sampler {
        @Override
        public String name() {
            return sampler.name() + " " + spacing.name().toLowerCase(Locale.ROOT);
        }

        @Override
        public Walk walk(NoiseSchedule schedule, int steps, double strength) {
            return sampler.walk(schedule.with(spacing), steps, strength);
        }
    }

    /** The names that {@link #named} shows when it does not know one. */
    public static List<String> names() {
        return ENTRIES.stream().map(entry -> entry.names.getFirst()).toList();
    }

    /**
     * @param name of webui, ComfyUI or diffusers, in any case, with any spaces, hyphens or underscores: "DPM++ 2M Karras",
     *     "dpmpp_2m karras", "DPMSolverMultistepScheduler", "ddim eta 0.5"
     * @throws InvalidRequestException for any other
     */
    public static Sampler named(String name) {
        Matcher eta = ETA.matcher(name.strip());
        if (eta.matches()) {
            return new Ddim(eta(eta.group(1), name));
        }
        Optional<Sampler> found = entry(name).map(entry -> entry.named.apply(Sigmas.NORMAL));
        for (Sigmas sigmas : List.of(Sigmas.KARRAS, Sigmas.EXPONENTIAL)) {
            found = found.or(() -> before(name, sigmas.suffix()).flatMap(Samplers::entry).filter(Entry::levelled)
                    .map(entry -> entry.named.apply(sigmas)));
        }
        for (Map.Entry<String, Spacing> spacing : SPACINGS.entrySet()) {
            found = found.or(() -> before(name, spacing.getKey()).flatMap(Samplers::entry)
                    .map(entry -> new Respaced(entry.named.apply(Sigmas.NORMAL), spacing.getValue())));
        }
        return found.orElseThrow(() -> new InvalidRequestException("there is no sampler \"" + name + "\"; expected "
                + String.join(", ", names()) + "; most also with Karras or Exponential behind; or what ComfyUI or diffusers calls them"));
    }

    private static double eta(String number, String name) {
        double eta;
        try {
            eta = Double.parseDouble(number);
        } catch (NumberFormatException e) {
            eta = Double.NaN;
        }
        if (!(eta >= 0 && eta <= 1)) {
            throw new InvalidRequestException("the sampler \"" + name + "\" has no eta that can be; expected a number from 0 to 1");
        }
        return eta;
    }

    /**
     * The sampler that a model's file names, with its options.
     *
     * @param file    {@code scheduler/scheduler_config.json}; without {@code _class_name} it is DDIM
     * @param notices told of what is not computed and of what is instead
     */
    public static Sampler of(JsonValue file, Consumer<String> notices) {
        SamplerOptions options = new SamplerOptions(new Config(file), notices);
        Optional<JsonValue> scheduler = file.find("_class_name");
        if (scheduler.isEmpty()) {
            return new Ddim();
        }
        Optional<Entry> found = entry(scheduler.get().asString());
        if (found.isEmpty()) {
            notices.accept(scheduler.get().where() + " is " + scheduler.get() + ", which this engine does not compute: it samples with DDIM");
            return new Ddim();
        }
        return found.get().configured.apply(options);
    }

    private static Optional<Entry> entry(String name) {
        return ENTRIES.stream().filter(entry -> entry.is(name)).findFirst();
    }

    /** What is before an ending. */
    private static Optional<String> before(String name, String ending) {
        String own = plain(name);
        return own.endsWith(plain(ending)) ? Optional.of(own.substring(0, own.length() - plain(ending).length())) : Optional.empty();
    }

    /** ComfyUI writes pp where webui has ++; webui's schedule type Automatic is what the model's file says. */
    private static String plain(String name) {
        return name.toLowerCase(Locale.ROOT).replaceFirst("^k[_-]|[ _-]automatic$", "").replace("+", "p").replaceAll("[ _-]", "");
    }
}
