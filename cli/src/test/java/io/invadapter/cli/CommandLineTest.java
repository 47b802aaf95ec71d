package io.invadapter.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** What a user of the command relies on: right pictures, the same bytes again, one clear sentence for each mistake. */
class CommandLineTest {
    @TempDir
    private Path folder;

    private record Outcome(int code, String message) {
    }

    private static Outcome run(Object... arguments) {
        StringWriter err = new StringWriter();
        CommandLine commandLine = Main.commandLine().setErr(new PrintWriter(err, true));
        int code = commandLine.execute(Stream.of(arguments).map(Object::toString).toArray(String[]::new));
        return new Outcome(code, err.toString().strip());
    }

    private Path face() throws Exception {
        Path file = folder.resolve("face.png");
        ImageIO.write(BundledModel.faces().getFirst(), "png", file.toFile());
        return file;
    }

    @Test
    void everyGoldenResultOfTheBundledModelIsReproduced() {
        assertEquals(0, run("verify", BundledModel.directory(), "--device", "cpu").code());
    }

    @Test
    void bfloat16StaysWithinItsLimits() {
        assertEquals(0, run("verify", BundledModel.directory(), "--device", "cpu", "--precision", "bf16").code());
    }

    @Test
    void theSameCommandGivesTheSameBytes() throws Exception {
        Path first = folder.resolve("first.png");
        Path second = folder.resolve("second.png");
        for (Path out : new Path[] {first, second}) {
            assertEquals(new Outcome(0, ""), run("generate", "--face", face(), "--prompt", "a portrait of a happy person",
                    "--steps", 2, "--seed", 5, "-q", "-o", out));
        }
        assertArrayEquals(Files.readAllBytes(first), Files.readAllBytes(second));
        String bytes = new String(Files.readAllBytes(first), StandardCharsets.ISO_8859_1);
        assertTrue(bytes.contains("a portrait of a happy person\nSteps: 2, Sampler: DDIM, CFG scale: 3.5, Seed: 5, Size: 128x128"));
    }

    @Test
    void theNextPictureOfAFaceFromTheIdentityCacheIsTheSame() throws Exception {
        Path cache = folder.resolve("faces");
        for (int i = 0; i < 2; i++) {
            assertEquals(new Outcome(0, ""), run("generate", "--face", face(), "--prompt", "a portrait", "--steps", 2, "--seed", 1,
                    "-q", "--identity-cache", cache, "-o", folder.resolve(i + ".png")));
            try (Stream<Path> files = Files.walk(cache)) {
                assertEquals(2, files.filter(Files::isRegularFile).count());
            }
        }
        assertArrayEquals(Files.readAllBytes(folder.resolve("0.png")), Files.readAllBytes(folder.resolve("1.png")));
        mistake(2, "is no folder", "--face", face(), "--identity-cache", Files.writeString(folder.resolve("text"), "no folder"),
                "-o", folder.resolve("out.png"));
    }

    @Test
    void severalPicturesAreThoseOfTheFollowingSeeds() throws Exception {
        run("generate", "--prompt", "a portrait", "--steps", 2, "--seed", 8, "--count", 2, "-q", "-o", folder.resolve("two.png"));
        run("generate", "--prompt", "a portrait", "--steps", 2, "--seed", 9, "-q", "-o", folder.resolve("one.png"));
        BufferedImage second = ImageIO.read(folder.resolve("two-2.png").toFile());
        BufferedImage alone = ImageIO.read(folder.resolve("one.png").toFile());
        for (int i = 0; i < 128 * 128; i++) {
            for (int shift = 0; shift < 24; shift += 8) {
                int difference = (second.getRGB(i % 128, i / 128) >> shift & 255) - (alone.getRGB(i % 128, i / 128) >> shift & 255);
                assertTrue(Math.abs(difference) <= 1, "pixel " + i);
            }
        }
    }

    @Test
    void aPictureOfAnotherSizeThanTheFace() throws Exception {
        Path out = folder.resolve("wide.png");
        assertEquals(0, run("generate", "--face", face(), "--prompt", "a portrait", "--steps", 1, "--seed", 1, "--size", "168x104",
                "-q", "-o", out).code());
        assertEquals(168, ImageIO.read(out.toFile()).getWidth());
    }

    @Test
    void aFaceIntoAPlaceOfAPicture() throws Exception {
        BufferedImage picture = new BufferedImage(100, 72, BufferedImage.TYPE_INT_RGB);
        BufferedImage half = new BufferedImage(100, 72, BufferedImage.TYPE_BYTE_GRAY);
        for (int i = 0; i < 100 * 72; i++) {
            picture.setRGB(i % 100, i / 100, i * 131);
            half.getRaster().setSample(i % 100, i / 100, 0, i % 100 < 50 ? 128 : 127);
        }
        Path init = folder.resolve("init.png");
        Path mask = folder.resolve("mask.png");
        ImageIO.write(picture, "png", init.toFile());
        ImageIO.write(half, "png", mask.toFile());
        Path out = folder.resolve("out.png");
        assertEquals(new Outcome(0, ""), run("generate", "--face", face(), "--prompt", "a portrait", "--steps", 2, "--seed", 1, "-q", "--init", init,
                "--mask", mask, "--strength", 0.5, "-o", out));
        BufferedImage made = ImageIO.read(out.toFile());
        assertEquals("96 x 72", made.getWidth() + " x " + made.getHeight());
        for (int y = 0; y < 72; y++) {
            // Two columns are cut off on each side.
            assertEquals(picture.getRGB(97, y), made.getRGB(95, y));
            assertEquals(picture.getRGB(50, y), made.getRGB(48, y));
            assertTrue(picture.getRGB(20, y) != made.getRGB(18, y));
        }
        assertTrue(Files.readString(out, StandardCharsets.ISO_8859_1).contains("Size: 96x72, Model: avatar-sd, Denoising strength: 0.5"));
    }

    @Test
    void mistakesAboutThePictureToStartFrom() throws Exception {
        Path out = folder.resolve("out.png");
        Path small = folder.resolve("small.png");
        ImageIO.write(new BufferedImage(40, 6, BufferedImage.TYPE_INT_RGB), "png", small.toFile());
        mistake(2, "--strength is about the picture in --init; there is no --init", "--strength", 0.5, "-o", out);
        mistake(2, "--mask is about the picture in --init; there is no --init", "--mask", small, "-o", out);
        mistake(2, "no such picture", "--init", folder.resolve("gone.png"), "-o", out);
        mistake(2, "no such picture", "--init", face(), "--mask", folder.resolve("gone.png"), "-o", out);
        mistake(2, "the mask has 40 x 6 pixels, the picture that it is for 128 x 128; expected the same size", "--init", "sample:1", "--mask", small,
                "-o", out);
        mistake(2, "strength must be more than 0 and at most 1, not 1.5", "--init", "sample:1", "--strength", 1.5, "-o", out);
        mistake(2, "the picture to start from has 40 x 6 pixels; expected at least 8 x 8", "--init", small, "-o", out);
    }

    @Test
    void mistakesGetOneSentenceAndLeaveNothingBehind() throws Exception {
        Path out = folder.resolve("out.png");
        Path tiny = folder.resolve("tiny.png");
        ImageIO.write(new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB), "png", tiny.toFile());
        Path text = Files.writeString(folder.resolve("text.png"), "no picture");
        Path pickle = Files.write(folder.resolve("model.ckpt"), new byte[] {(byte) 0x80, 2, 'c', 'o', 's', '\n'});
        Path foreign = folder.resolve("foreign.safetensors");
        new SafetensorsWriter().add("other.attn1.eaa.to_k.weight", new long[] {2, 2}, new float[4]).write(foreign);
        mistake(2, "steps must be between 1 and 1000", "--steps", 0, "-o", out);
        mistake(2, "steps must be between 1 and 1000", "--steps", 1001, "-o", out);
        mistake(2, "'abc' is not a whole number", "--steps", "abc", "-o", out);
        mistake(2, "guidance must be between 0 and 100", "--guidance", "NaN", "-o", out);
        mistake(2, "count must be between 1 and 1000", "--count", 0, "-o", out);
        mistake(2, "multiples of 8", "--size", "100x128", "-o", out);
        mistake(2, "WIDTHxHEIGHT", "--size", "big", "-o", out);
        mistake(2, "WIDTHxHEIGHT", "--size", 0, "-o", out);
        mistake(2, "between 1 and 4096", "--size", "100000x100000", "-o", out);
        for (List<Object> option : List.<List<Object>>of(List.of("--id-scale", 1), List.of("--caption", "a person"), List.of("--id-layers", "both"),
                List.of("--id-rows", "prompt"), List.of("--identity-cache", folder.resolve("faces")))) {
            mistake(2, option.get(0) + " is about the person in --face; there is no --face", option.get(0), option.get(1), "-o", out);
        }
        mistake(2, "between -5 and 5", "--face", face(), "--id-scale", -6, "-o", out);
        mistake(2, "no folder", "-o", folder.resolve("none/out.png"));
        mistake(2, "a folder", "-o", Files.createDirectory(folder.resolve("folder.png")));
        mistake(2, "ends in .png, .jpg, .jpeg or .webp", "-o", folder.resolve("out.gif"));
        mistake(2, "not the name of a file", "-o", "");
        mistake(2, "tiny.png", "--face", tiny, "-o", out);
        mistake(2, "text.png", "--face", text, "-o", out);
        mistake(2, "no such picture", "--face", folder.resolve("gone.png"), "-o", out);
        mistake(2, "gone does not exist", "--model", folder.resolve("gone"), "-o", out);
        mistake(2, "gone does not exist", "--adapter", folder.resolve("gone"), "-o", out);
        mistake(2, "needs the --adapter", "--face", face(), "--model", BundledModel.directory(), "-o", out);
        mistake(2, "expected auto, cpu, cuda or cuda:N", "--device", "tpu", "-o", out);
        mistake(1, "pickle", "--model", pickle, "-o", out);
        mistake(1, "another model", "--adapter", foreign, "-o", out);
        mistake(1, "fp16", "--device", "cpu", "--precision", "fp16", "-o", out);
    }

    @Test
    void whatCannotBeTimedIsSaidFirst() {
        for (String[] mistake : new String[][] {{"--steps", "0", "steps must be between 1 and 1000"},
            {"--size", "100", "multiple of 64"}, {"--batch", "4,0", "batch must be between"}, {"--batch", "4,x", "not a whole number"},
            {"--repeats", "0", "1 or more"}, {"--device", "tpu", "expected auto, cpu, cuda or cuda:N"}}) {
            Outcome outcome = run("bench", mistake[0], mistake[1]);
            assertEquals(2, outcome.code(), mistake[2]);
            assertTrue(outcome.message().contains(mistake[2]), outcome.message());
        }
    }

    @Test
    void aDamagedPartOfAModelIsNamed() throws Exception {
        Path model = copyOfTheModel();
        Path out = folder.resolve("out.png");
        for (String[] damage : new String[][] {
            {"unet/config.json", null, "unet/config.json does not exist"},
            {"unet/config.json", "{oops}", "unet/config.json is not valid JSON"},
            {"unet/config.json", "{\"_class_name\": \"UNet3DConditionModel\"}", "_class_name is \"UNet3DConditionModel\""},
            {"tokenizer/merges.txt", null, "merges.txt does not exist"},
            {"vae/diffusion_pytorch_model.safetensors", null, "has no weights"},
            {"vae/diffusion_pytorch_model.safetensors", "no weights", "is a text ('no weights')"},
            {"scheduler/scheduler_config.json", "{\"prediction_type\": \"flow\"}", "prediction_type"}}) {
            Files.delete(model.resolve(damage[0]));
            if (damage[1] != null) {
                Files.writeString(model.resolve(damage[0]), damage[1]);
            }
            mistake(1, damage[2], "--model", model, "-o", out);
            Files.copy(BundledModel.directory().resolve(damage[0]), model.resolve(damage[0]), StandardCopyOption.REPLACE_EXISTING);
        }
    }

    private Path copyOfTheModel() throws IOException {
        Path copy = folder.resolve("model");
        try (Stream<Path> files = Files.walk(BundledModel.directory())) {
            for (Path file : files.toList()) {
                Files.copy(file, copy.resolve(BundledModel.directory().relativize(file)));
            }
        }
        return copy;
    }

    @Test
    void theScaleIsWhatTheGivenAdapterRecommends() throws Exception {
        Path weaker = folder.resolve("weaker.safetensors");
        try (WeightSource bundled = Safetensors.open(BundledModel.adapter())) {
            SafetensorsWriter writer = new SafetensorsWriter();
            for (String name : bundled.names()) {
                writer.add(name, bundled.tensor(name).shape(), bundled.tensor(name).toFloats());
            }
            writer.metadata("scale", "0.25").metadata("id_latent_size", "16").write(weaker);
        }
        for (Object[] options : new Object[][] {{0.25, "--adapter", weaker}, {1.0, "-q"}, {0.75, "--id-scale", 0.75}}) {
            Path out = folder.resolve("scale.png");
            Object[] arguments = Stream.concat(Stream.of("generate", "--prompt", "a, b", "--face", face(), "--steps", 1, "-q", "-o", out,
                    "--id-rows", "both", "--caption", "c, d"), Stream.of(options).skip(1).filter(o -> !o.equals("-q"))).toArray();
            assertEquals(new Outcome(0, ""), run(arguments));
            String bytes = new String(Files.readAllBytes(out), StandardCharsets.ISO_8859_1);
            assertTrue(bytes.contains(", Inv-Adapter scale: " + options[0] + ", Inv-Adapter caption: \"c, d\", Inv-Adapter rows: BOTH"));
        }
    }

    @Test
    void cudaLibrariesMustBeFolders() {
        for (String none : new String[] {"/no/such/folder", "", ":", "a\0b"}) {
            Outcome outcome = run("devices", "--cuda-libraries", none);
            assertEquals(2, outcome.code());
            assertTrue(outcome.message().matches("invadapter: --cuda-libraries: .* is no folder; see invadapter --help"), outcome.message());
        }
    }

    @Test
    void verifyNamesWhatIsWrongWithGoldenData() throws Exception {
        Path model = copyOfTheModel();
        Files.delete(model.resolve("golden.safetensors"));
        new SafetensorsWriter().add("vae.image", new long[] {3}, new float[3]).write(model.resolve("golden.safetensors"));
        for (Object[] wrong : new Object[][] {{2, folder.resolve("gone"), "is no folder"}, {1, folder, "case.json does not exist"},
            {1, model, "'vae.image' has the shape [3]"}}) {
            Outcome outcome = run("verify", wrong[1]);
            assertEquals(wrong[0], outcome.code(), outcome.message());
            assertTrue(outcome.message().contains(wrong[2].toString()), outcome.message());
            assertEquals(1, outcome.message().lines().count(), outcome.message());
        }
    }

    @Test
    void anInpaintingModelAsksForAPictureAndAMask() throws Exception {
        Path unet = copyOfTheModel().resolve("unet");
        Path config = unet.resolve("config.json");
        Files.writeString(config, Json.read(config).with("in_channels", 9).toString());
        Path weights = unet.resolve("diffusion_pytorch_model.safetensors");
        SafetensorsWriter writer = new SafetensorsWriter();
        try (WeightSource bundled = Safetensors.open(BundledModel.directory().resolve("unet").resolve(weights.getFileName()))) {
            bundled.names().stream().filter(name -> !name.equals("conv_in.weight"))
                    .forEach(name -> writer.add(name, bundled.tensor(name).shape(), bundled.tensor(name).toFloats()));
        }
        writer.add("conv_in.weight", new long[] {64, 9, 3, 3}, new float[64 * 9 * 3 * 3]);
        Files.delete(weights);
        writer.write(weights);
        Outcome outcome = run("generate", "--prompt", "a", "--model", unet.getParent(), "-q", "-o", folder.resolve("out.png"));
        assertEquals(2, outcome.code(), outcome.message());
        assertTrue(outcome.message().lines().anyMatch(line -> line.startsWith("invadapter: this model is trained for inpainting")), outcome.message());
    }

    @Test
    void verifyRefusesACaseThatItDoesNotKnow() throws Exception {
        Path file = folder.resolve("case.json");
        new SafetensorsWriter().add("eps", new long[] {1}, new float[1]).write(folder.resolve("golden.safetensors"));
        for (Object[] wrong : new Object[][] {{2, "{\"case\": \"instantid\"}", "case is \"instantid\", which this version does not compute; expected "},
            {1, "{\"case\": 3}", "case is 3 where a string is expected"}, {1, "[]", "is an array where an object is expected"}}) {
            Files.writeString(file, wrong[1].toString());
            Outcome outcome = run("verify", folder, "--device", "cpu");
            assertEquals(wrong[0], outcome.code(), outcome.message());
            assertTrue(outcome.message().startsWith("invadapter: " + file) && outcome.message().contains(wrong[2].toString()), outcome.message());
            assertEquals(1, outcome.message().lines().count(), outcome.message());
        }
    }

    /** Two of diffusers' runs: one that draws noise, and one that calls the network twice in a step. */
    @Test
    void verifyRunsSamplersOnAFormula() throws Exception {
        String config = "{\"num_train_timesteps\": 1000, \"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": \"scaled_linear\","
                + " \"prediction_type\": \"epsilon\", \"steps_offset\": 1, \"timestep_spacing\": \"leading\"}";
        String run = "{\"key\": \"%s\", \"class\": \"%s\", \"steps\": 5, \"strength\": null, \"eta\": null, \"config\": " + config + "}";
        String text = "{\"case\": \"samplers\", \"model\": \"tanh(x * (0.8 + 0.3 cos(t / 250)) + 0.2 sin(t / 97))\", \"runs\": ["
                + run.formatted("euler-a/5", "EulerAncestralDiscreteScheduler") + ", " + run.formatted("heun/5", "HeunDiscreteScheduler") + "]}";
        float[] draws = {-0.356128f, 0.437223f, 0.491305f, -0.204102f, -0.0885314f, 0.523883f, -0.665871f,
            0.850377f, -1.04375f, -1.34531f};
        float[] ancestral = {8.06081f, -1.5349f, 4.27945f, -0.790078f, 3.50127f, -0.660183f, 2.63623f, 0.0158538f,
            2.04566f, -0.0559068f, 2.00525f, -0.0534563f};
        float[] heun = {8.06081f, -1.5349f, 5.95185f, -1.64008f, 5.76189f, -1.05206f, 4.78879f, -0.765515f,
            4.72438f, -0.622823f, 4.14302f, -0.354147f, 4.13691f, -0.448838f, 3.60472f, -0.334991f,
            3.60464f, -0.298529f, 3.56335f, -0.285517f};
        new SafetensorsWriter().add("in.x", new long[] {1, 1, 1, 2}, new float[] {1.541f, -0.293429f})
                .add("in.x0", new long[] {1, 1, 1, 2}, new float[2]).add("in.noises", new long[] {5, 1, 1, 2}, draws)
                .add("euler-a/5.timesteps", new long[] {5}, new float[] {801, 601, 401, 201, 1}).add("euler-a/5.samples", new long[] {6, 1, 1, 2}, ancestral)
                .add("heun/5.sigmas", new long[] {10}, new float[] {5.1344333f, 2.2928548f, 2.2928548f, 1.1682165f, 1.1682165f, 0.5740508f,
                    0.5740508f, 0.04131448f, 0.04131448f, 0}).add("heun/5.samples", new long[] {10, 1, 1, 2}, heun)
                .write(folder.resolve("golden.safetensors"));
        Path file = folder.resolve("case.json");
        Files.writeString(file, text);
        assertEquals(0, run("verify", folder, "--device", "cpu").code());

        Files.writeString(file, text.replace("0.8", "0.81"));
        assertEquals(1, run("verify", folder, "--device", "cpu").code());
        Files.writeString(file, text.replace("tanh", "sinh"));
        Outcome outcome = run("verify", folder, "--device", "cpu");
        assertEquals(1, outcome.code());
        assertTrue(outcome.message().contains("case.json: model is \"sinh(x") && outcome.message().contains("expected \"tanh(x"), outcome.message());
    }

    @Test
    void charactersThatWereLostOnTheWayAreNotDrawn() throws Exception {
        Path out = folder.resolve("out.png");
        for (String option : new String[] {"--negative", "--caption"}) {
            mistake(2, "LC_ALL=C.UTF-8", "--face", face(), option, "Caf\uFFFD\uFFFD", "-o", out);
        }
        Outcome outcome = run("invert", "--face", face(), "--caption", "Caf\uFFFD", "-o", out);
        assertEquals(2, outcome.code(), outcome.message());
        assertTrue(outcome.message().contains("the caption holds U+FFFD"), outcome.message());
    }

    @Test
    void aFileOfPromptsThatIsNotUtf8SaysWhichLine() throws Exception {
        Path file = folder.resolve("prompts.txt");
        for (Object[] text : new Object[][] {{"a\r\n\nCafé\n", StandardCharsets.ISO_8859_1, "line 3 is not UTF-8"},
            {"a cat", StandardCharsets.UTF_16, "line 1 is not UTF-8"}, {"a\nb\0", StandardCharsets.UTF_8, "line 2 holds a zero byte; expected a text in UTF-8"},
            {"a\n\nCaf\uFFFD", StandardCharsets.UTF_8, "line 3 holds U+FFFD in place of characters that were lost when the text was written"},
            {"\uFFFD", StandardCharsets.UTF_8, "line 1 holds U+FFFD"}, {"\uFEFF\n \n", StandardCharsets.UTF_8, "there is no prompt in it"}}) {
            Files.writeString(file, (String) text[0], (Charset) text[1]);
            Outcome outcome = run("generate", "--prompts", file, "-o", folder.resolve("out.png"));
            assertEquals(2, outcome.code());
            assertEquals("invadapter: --prompts " + file + ": " + text[2], outcome.message().substring(0, Math.min(outcome.message().length(),
                    ("invadapter: --prompts " + file + ": " + text[2]).length())));
        }
        Files.writeString(file, "\uFEFFa portrait\r\n\r\n  Café ");
        assertEquals(List.of("a portrait", "Café"), PromptFile.read(file));
    }

    @Test
    void aCaptionThatIsCutIsToldOf() throws Exception {
        PrintStream before = System.err;
        ByteArrayOutputStream told = new ByteArrayOutputStream();
        System.setErr(new PrintStream(told, true, StandardCharsets.UTF_8));
        try {
            assertEquals(0, run("invert", "--face", face(), "--caption", "a person ".repeat(60), "--steps", 1, "-o", folder.resolve("back.png")).code());
        } finally {
            System.setErr(before);
        }
        assertTrue(told.toString(StandardCharsets.UTF_8).contains("invadapter: the caption is longer than 77 tokens"), told.toString());
    }

    @Test
    void wrongOptionsGetOneSentence() {
        for (Object[] arguments : new Object[][] {{"generate"}, {"info", "a\0b"}, {"generate", "--prompt", "a", "--steps", "many"},
            {"generate", "--prompt", "a", "--id-rows", "none"}, {"paint"}, {}, {"generate", "--prompt", "a", "--colour"},
            {"devices", "--threads", 0}, {"devices", "--threads", 100_000}, {"devices", "--threads", "two"},
            {"devices", "--threads", 1, "--threads", 2}, {"info", "a\nb"}, {"generate", "--prompt", "a", "--size", "a\nb"},
            {"generate", "--prompt", "a", "--count", "a\nb"}, {"invert", "--face", "a\nb"}}) {
            Outcome outcome = run(arguments);
            assertEquals(2, outcome.code(), outcome.message());
            assertEquals(1, outcome.message().lines().count(), outcome.message());
        }
        assertTrue(run("devices", "--threads", 100_000).message().contains("--threads must be between 1 and 1024, not 100000"));
        assertTrue(run("generate", "--prompt", "a", "--count", "x").message().contains("'x' is not a whole number"));
    }

    /** A tool of shells, in which @ stands for the arguments in a file. */
    @Test
    void anAtIsAnAt() throws Exception {
        Path file = Files.writeString(folder.resolve("file"), "--steps 0");
        for (String prompt : new String[] {"@" + file, "@" + folder}) {
            Path out = folder.resolve("out.png");
            assertEquals(new Outcome(0, ""), run("generate", "--prompt", prompt, "--steps", 1, "-q", "-o", out));
            assertTrue(new String(Files.readAllBytes(out), StandardCharsets.ISO_8859_1).contains(prompt));
        }
    }

    @Test
    void aPromptBeyondLatin1IsKeptInThePicture() throws Exception {
        Path out = folder.resolve("unicode.png");
        run("generate", "--prompt", "портрет 🙂", "--steps", 1, "--seed", 1, "-q", "-o", out);
        String bytes = new String(Files.readAllBytes(out), StandardCharsets.UTF_8);
        assertTrue(bytes.contains("iTXtparameters") && bytes.contains("портрет 🙂\nSteps: 1"));
    }

    @Test
    void theCommandsOfTheReadmeAreUnderstood() throws IOException {
        List<String> lines = Files.readAllLines(Path.of(System.getProperty("basedir", ".")).resolve("../README.md")).stream()
                .filter(line -> line.matches("(printf .*\\| )?\\./invadapter .*")).toList();
        assertTrue(lines.size() > 10, lines.toString());
        for (String line : lines) {
            String command = line.replaceFirst(".*\\./invadapter ", "").replaceFirst(" [#>] ?.*", "").replaceAll("[\\[\\]]", "");
            String[] words = Pattern.compile("\"([^\"]*)\"|\\S+").matcher(command).results()
                    .map(word -> word.group(1) != null ? word.group(1) : word.group()).toArray(String[]::new);
            Main.commandLine().parseArgs(words);
        }
    }

    @Test
    void aMisspeltOptionIsNamedWithTheOneThatWasMeant() {
        for (String[] arguments : new String[][] {{"generate", "--promt", "a", "'--promt' (did you mean '--prompt'?)"},
            {"generate", "--promt=a", "-q", "'--promt' (did you mean '--prompt'?)"},
            {"invert", "--fase", "a.png", "'--fase' (did you mean '--face'?)"}}) {
            Outcome outcome = run(arguments[0], arguments[1], arguments[2]);
            assertEquals(2, outcome.code());
            assertTrue(outcome.message().contains("there is no option " + arguments[3]), outcome.message());
            assertEquals(1, outcome.message().lines().count(), outcome.message());
        }
    }

    private void mistake(int code, String part, Object... options) {
        Object[] arguments = Stream.concat(Stream.of("generate", "--prompt", "a portrait", "-q"), Stream.of(options)).toArray();
        Outcome outcome = run(arguments);
        assertEquals(code, outcome.code(), outcome.message());
        assertTrue(outcome.message().contains(part), outcome.message());
        assertEquals(1, outcome.message().lines().count(), outcome.message());
        assertFalse(Files.exists(folder.resolve("out.png")));
    }
}
