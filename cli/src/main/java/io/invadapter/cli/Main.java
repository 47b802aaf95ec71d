package io.invadapter.cli;

import io.invadapter.engine.InvalidRequestException;
import io.invadapter.kernels.DeviceException;
import io.invadapter.weights.WeightException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** Entry point. Exit code 0: done, 1: failed, 2: asked for something that cannot be. */
@Command(name = "invadapter", mixinStandardHelpOptions = true, version = "invadapter 0.1.0",
        description = "Pictures of one person: Stable Diffusion 1.x with Inv-Adapter.",
        subcommands = {Generate.class, Invert.class, Info.class, Verify.class, Demo.class, ListDevices.class})
public final class Main implements Runnable {
    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    public static void main(String[] arguments) {
        System.exit(commandLine().execute(arguments));
    }

    static CommandLine commandLine() {
        CommandLine commandLine = new CommandLine(new Main()).setCaseInsensitiveEnumValuesAllowed(true);
        commandLine.setExecutionStrategy(parsed -> {
            try {
                return new CommandLine.RunLast().execute(parsed);
            } catch (OutOfMemoryError e) {
                commandLine.getErr().println("invadapter: out of memory: give Java more with -Xmx in JAVA_TOOL_OPTIONS, or ask "
                        + "for a smaller size or count");
                return 1;
            }
        });
        commandLine.setParameterExceptionHandler((e, arguments) -> {
            CommandLine command = e.getCommandLine();
            command.getErr().println("invadapter: " + e.getMessage().lines().findFirst().orElse("wrong options") + "; see "
                    + command.getCommandSpec().qualifiedName() + " --help");
            return 2;
        });
        commandLine.setExecutionExceptionHandler((e, command, parsed) -> {
            command.getErr().println("invadapter: " + sentence(e));
            return e instanceof InvalidRequestException ? 2 : 1;
        });
        return commandLine;
    }

    /** What went wrong, for a user; a mistake of ours keeps its stack trace. */
    private static String sentence(Exception e) throws Exception {
        return switch (e) {
            case InvalidRequestException _, WeightException _, DeviceException _, UncheckedIOException _ -> e.getMessage();
            case NoSuchFileException missing -> missing.getFile() + ": there is no such file";
            case AccessDeniedException denied -> denied.getFile() + ": access denied";
            case IOException _ -> "cannot read or write: " + e;
            default -> throw e;
        };
    }

    @Override
    public void run() {
        throw new CommandLine.ParameterException(spec.commandLine(), "expected a command: generate, invert, info, verify, demo or devices");
    }
}
