"""Lines of the log."""

import json
import logging
from datetime import UTC, datetime, timedelta

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
