"""`tidings completion`: what a shell reads to complete commands, options, ids and names."""

import click
from click.shell_completion import get_completion_class

from tidings.cli.remote.failures import CommandError, ends_well

_HOW = {
    "bash": 'Add to ~/.bashrc:  eval "$(tidings completion bash)"',
    "zsh": 'Add to ~/.zshrc:  eval "$(tidings completion zsh)"',
    "fish": "Write it to ~/.config/fish/completions/tidings.fish",
}


def command() -> click.Command:
    """Return the command."""

    def run(shell: str) -> None:
        root = click.get_current_context().find_root().command
        known = get_completion_class(shell)
        if known is None:
            raise CommandError(f"This version of click knows no {shell}.")
        complete = known(root, {}, "tidings", "_TIDINGS_COMPLETE")
        click.echo(complete.source_template % complete.source_vars())

    return click.Command(
        "completion",
        params=[click.Argument(["shell"], type=click.Choice(sorted(_HOW)))],
        callback=ends_well(run),
        help="Print what completes commands, options, ids and names in a shell.\n\n\b\n" + "\n".join(_HOW.values()),
    )
