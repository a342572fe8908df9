"""Lines of the log."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from tests.support.limits import PATIENCE
from tidings.cli.logs import _Json, _Text


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("tidings", logging.INFO, "", 0, message, (), None)
    vars(made).update(fields)
    return made


def test_a_line_of_json_says_when_wherever_it_is_written() -> None:
    made = record("x")
    said = datetime.fromisoformat(json.loads(_Json().format(made))["at"])
    assert said.tzinfo == UTC
    assert abs(said - datetime.fromtimestamp(made.created, UTC)) < timedelta(milliseconds=2)


def test_what_others_wrote_begins_no_line_and_moves_no_cursor() -> None:
    said = _Text().format(record("of 'a\n12:00:00 info     all is well\x1b[2J'", table="t\rx"))
    first, second = said.split("\n")
    assert first.endswith("of 'a")
    assert second == "    12:00:00 info     all is well\N{REPLACEMENT CHARACTER}[2J' table=t\N{REPLACEMENT CHARACTER}x"


def test_a_traceback_stays_as_it_is() -> None:
    try:
        int("no")
    except ValueError as error:
        made = record("it failed")
        made.exc_info = (ValueError, error, error.__traceback__)
    assert "\nTraceback (most recent call last):\n  File" in _Text().format(made)


def test_what_nobody_caught_is_a_line_of_json_wherever_it_was_thrown() -> None:
    program = (
        "import threading\nfrom tidings.cli.logs import set_up_logs\nset_up_logs('json', 'info')\n"
        "class Odd:\n    def __del__(self): raise OSError('in a destructor')\n"
        "Odd()\nthread = threading.Thread(target=lambda: int('of a thread'))\nthread.start()\nthread.join()\n1 / 0\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["level"], line["message"].partition(":")[0]) for line in lines] == [
        ("critical", "OSError"), ("critical", "ValueError"), ("critical", "ZeroDivisionError"),
    ]  # fmt: skip
