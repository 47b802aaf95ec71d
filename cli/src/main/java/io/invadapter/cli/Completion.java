package io.invadapter.cli;

import java.util.concurrent.Callable;
import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** For the shell: commands and options at the press of the tabulator key. */
@Command(name = "completion", description = "Prints a script that completes commands and options in bash and zsh.",
        footer = {"", "In ~/.bashrc or ~/.zshrc: source <(invadapter completion)"})
final class Completion implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        System.out.print(AutoComplete.bash(spec.root().name(), spec.root().commandLine()));
        return 0;
    }
}
