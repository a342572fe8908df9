"""What ends a command: a sentence with the remedy, and an exit code."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

import click

from tidings.cli.remote.inert import inert, json_text

T = TypeVar("T")

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
NOT_ALLOWED: Final = 4
UNREACHABLE: Final = 5
INTERRUPTED: Final = 130

EXIT_CODES: Final = {
    0: "done",
    FAILED: "it failed: the server could not do it now, or what was waited for failed",
    USAGE: "the command, an option or a field cannot be accepted",
    NOT_FOUND: "there is nothing with that id or name",
    NOT_ALLOWED: "the key is missing or wrong, or does not allow it",
    UNREACHABLE: "the server cannot be reached, or does not answer",
    INTERRUPTED: "Ctrl-C",
}
_BY_STATUS: Final = {
    **dict.fromkeys((400, 413, 422), USAGE),
    **dict.fromkeys((401, 403), NOT_ALLOWED),
    **dict.fromkeys((0, 502, 504), UNREACHABLE),
    404: NOT_FOUND,
}


class CommandError(Exception):
    """A command cannot go on.

    Attributes:
        message: What is wrong and what to do, in a sentence.
        exit_code: What the process ends with.
        details: What `--json` shows besides.
    """

    def __init__(self, message: str, exit_code: int = FAILED, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.details = details


def exit_code_of(status: int) -> int:
    """Return the exit code for the status of an answer; 0: there was none."""
    return _BY_STATUS.get(status, FAILED)


def ends_well(command: Callable[..., T]) -> Callable[..., T]:
    """Turn what a command raises into one sentence and its exit code."""

    @wraps(command)
    def ending(*args: Any, **kwargs: Any) -> T:
        from tidings.client.errors import ApiError

        try:
            return command(*args, **kwargs)
        except CommandError as error:
            _tell(error.message, error.details, as_json=bool(kwargs.get("as_json")))
            sys.exit(error.exit_code)
        except ApiError as error:
            known = error.details if isinstance(error.details, dict) else {}
            _tell(error.message, {"code": error.code} | known, as_json=bool(kwargs.get("as_json")))
            sys.exit(exit_code_of(error.status))
        except KeyError as error:
            _tell(
                f"The server's answer lacks {error.args[0]!r}: it may be older than this command.",
                {"code": "OLDER_SERVER"},
                as_json=bool(kwargs.get("as_json")),
            )
            sys.exit(FAILED)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)

    return ending


def _tell(message: str, details: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json_text(json.dumps(details | {"error": message}, ensure_ascii=False)))
    else:
        click.echo(f"tidings: {inert(message)}", err=True)
