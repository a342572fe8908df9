"""What all commands of a server have: settings from options before the command, `--json`, errors as one sentence."""

from __future__ import annotations  # `Config` is a word of types here: its module is imported when a server runs

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tidings.core.errors import NotFoundError, StartupError, TidingsError

if TYPE_CHECKING:
    from tidings.config import Config

_EXITS = {StartupError: 2, NotFoundError: 3}


class Setup(NamedTuple):
    """What the options before the command say."""

    file: Path | None
    flags: dict[str, Any]

    def config(self, **flags: Any) -> Config:
        """Return the settings, with these flags of the command; None: not given."""
        from tidings.configured import load_config

        return load_config(self.flags | {name: value for name, value in flags.items() if value is not None}, file=self.file)


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, errors too.")(command)


def _log_format() -> str:
    """Return the form of the log as far as it is known: settings that cannot be read may be what is to be told."""
    from tidings.configured import log_format_of

    setup = click.get_current_context().find_object(Setup)
    return log_format_of(None if setup is None else setup.flags.get("log_format"), file=None if setup is None else setup.file)


def reports_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn an error raised on purpose into one sentence and an exit code."""

    @wraps(command)
    def reporting(*args: Any, as_json: bool = False, **kwargs: Any) -> None:
        try:
            command(*args, as_json=as_json, **kwargs)
        except TidingsError as error:
            if as_json:
                import msgspec

                click.echo(msgspec.json.encode({"error": error.message, "code": error.code}))
            elif _log_format() == "json":
                from tidings.cli.logs import line

                click.echo(line("error", error.message, code=error.code), err=True)
            else:
                click.echo(f"tidings: {error.message}", err=True)
            sys.exit(next((code for kind, code in _EXITS.items() if isinstance(error, kind)), 1))

    return reporting
