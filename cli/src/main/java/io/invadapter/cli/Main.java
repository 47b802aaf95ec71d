package io.invadapter.cli;

import io.invadapter.base.InvAdapterException;
import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.request.LoraUse;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.TypeConversionException;
import picocli.CommandLine.UnmatchedArgumentException;

/** Entry point. Exit code 0: done, 1: failed, 2: asked for something that cannot be. */
@Command(name = "invadapter", version = "invadapter 0.1.0", sortOptions = false, synopsisSubcommandLabel = "COMMAND",
        description = "Pictures of one person: Stable Diffusion 1.x and 2.x with Inv-Adapter.%n",
        footer = {"", "'invadapter COMMAND --help' lists the options of a command.",
            "Exit codes: 0 done, 1 failed, 2 asked for something that cannot be."},
        subcommands = {Generate.class, Invert.class, Info.class, Verify.class, Demo.class, ListDevices.class, Bench.class, Completion.class})
public final class Main implements Runnable {
    private static final int MAX_THREADS = 1024;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Option(names = {"-h", "--help"}, usageHelp = true, scope = ScopeType.INHERIT, description = "shows this text")
    private boolean help;

    /** A property, for the command knows no kind of device. */
    @Option(names = "--cuda-libraries", paramLabel = "FOLDERS", scope = ScopeType.INHERIT,
            description = "where cuBLAS and cuDNN are, separated by colons (default: the usual places; see devices)")
    private void cudaLibraries(String folders) {
        for (String folder : folders.split(":", -1)) {
            if (!isFolder(folder)) {
                throw new ParameterException(spec.commandLine(), "--cuda-libraries: " + (folder.isBlank() ? "'" + folder + "'" : folder)
                        + " is no folder");
            }
        }
        System.setProperty("invadapter.cuda.libraries", folders);
    }

    private static boolean isFolder(String name) {
        try {
            return Files.isDirectory(path(name));
        } catch (TypeConversionException e) {
            return false;
        }
    }

    /** A property for the same reason. */
    @Option(names = "--threads", paramLabel = "N", scope = ScopeType.INHERIT,
            description = "threads that the CPU computes with (default: one for each core)")
    private void threads(Integer count) {
        if (count < 1 || count > MAX_THREADS) {
            throw new ParameterException(spec.commandLine(), "--threads must be between 1 and " + MAX_THREADS + ", not " + count);
        }
        System.setProperty("invadapter.cpu.threads", count.toString());
    }

    @Option(names = {"-V", "--version"}, versionHelp = true, description = "shows the version")
    private boolean version;

    public static void main(String[] arguments) {
        StandardOutput output = StandardOutput.install();
        System.exit(output.end(commandLine().execute(arguments)));
    }

    static CommandLine commandLine() {
        CommandLine commandLine = new CommandLine(new Main()).setCaseInsensitiveEnumValuesAllowed(true)
                .setUsageHelpAutoWidth(true).setExpandAtFiles(false);
        register(commandLine, Integer.class, Integer::valueOf, "a whole number");
        register(commandLine, Long.class, Long::valueOf, "a whole number of at most 64 bits");
        register(commandLine, Double.class, Double::valueOf, "a number");
        commandLine.registerConverter(Path.class, Main::path);
        commandLine.registerConverter(PictureOption.class, PictureOption::of);
        commandLine.registerConverter(LoraUse.class, LoraOption::of);
        commandLine.setExecutionStrategy(parsed -> {
            try {
                return new CommandLine.RunLast().execute(parsed);
            } catch (OutOfMemoryError e) {
                commandLine.getErr().println("invadapter: out of memory: give Java more, e.g. with JAVA_TOOL_OPTIONS=-Xmx8g, or ask "
                        + "for a smaller size or count");
                return 1;
            }
        });
        commandLine.setParameterExceptionHandler((e, arguments) -> {
            CommandLine command = e.getCommandLine();
            command.getErr().println("invadapter: " + onOneLine(sentence(e)) + "; see " + command.getCommandSpec().qualifiedName() + " --help");
            return 2;
        });
        commandLine.setExecutionExceptionHandler((e, command, parsed) -> {
            command.getErr().println("invadapter: " + onOneLine(sentence(e)));
            return e instanceof InvalidRequestException ? 2 : 1;
        });
        return commandLine;
    }

    private static <T> void register(CommandLine commandLine, Class<T> type, ITypeConverter<T> parse, String expected) {
        commandLine.registerConverter(type, text -> {
            try {
                return parse.convert(text);
            } catch (NumberFormatException e) {
                throw new TypeConversionException("'" + text + "' is not " + expected);
            }
        });
    }

    /** An empty path would silently mean the current folder. */
    static Path path(String text) {
        if (text.isBlank()) {
            throw new TypeConversionException("'" + text + "' is not the name of a file or folder");
        }
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw new TypeConversionException("'" + text + "' cannot be the name of a file or folder; if it has other than English "
                    + "letters, set a UTF-8 locale, e.g. LC_ALL=C.UTF-8");
        }
    }

    /** A value or a name in it may have line breaks, or what would move the cursor of a terminal. */
    private static String onOneLine(String message) {
        return message.replaceAll("\\R|\\p{Cntrl}", " ");
    }

    private static String sentence(ParameterException e) {
        // A misspelt option is also missing, which says less.
        List<String> unmatched = e instanceof UnmatchedArgumentException known ? known.getUnmatched()
                : e instanceof MissingParameterException ? e.getCommandLine().getUnmatchedArguments() : List.of();
        if (unmatched.isEmpty()) {
            return e.getMessage();
        }
        String word = unmatched.getFirst();
        if (word.startsWith("-")) {
            String option = word.split("=", 2)[0];
            List<String> similar = new UnmatchedArgumentException(e.getCommandLine(), List.of(option)).getSuggestions();
            return "there is no option '" + option + "'" + (similar.isEmpty() ? "" : " (did you mean '" + similar.getFirst() + "'?)");
        }
        return e.getCommandLine().getParent() == null ? "there is no command '" + word + "': expected " + commands()
                : "unexpected argument '" + word + "'";
    }

    private static String commands() {
        return "generate, invert, info, verify, demo, devices, bench or completion";
    }

    /** What went wrong, for a user; a mistake of ours keeps its stack trace. */
    private static String sentence(Exception e) throws Exception {
        return switch (e) {
            case InvAdapterException _, UncheckedIOException _ -> e.getMessage();
            case NoSuchFileException missing -> missing.getFile() + ": there is no such file";
            case AccessDeniedException denied -> denied.getFile() + ": access denied";
            case FileSystemException failed -> failed.getFile() + ": " + (failed.getReason() == null ? "cannot be used" : failed.getReason());
            case IOException _ -> "cannot read or write: " + e.getMessage();
            default -> throw e;
        };
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "expected a command: " + commands());
    }
}
