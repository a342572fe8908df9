"""Lines of the log, whatever is in what they tell."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.limits import PATIENCE
from tidings.cli.logs import _Json, line, set_up_logs
from tidings.store.reaching import where

HOSTILE = "a\n12:00:00 ERROR    forged\x1b[2J\x9b31m\r\x00 \u2028 \udcff end"


@pytest.fixture
def logging_as_before():
    root, tidings = logging.getLogger(), logging.getLogger("tidings")
    before = root.handlers[:], root.level, tidings.level
    yield
    root.handlers[:], root.level, tidings.level = before[0], before[1], before[2]
    logging.captureWarnings(False)


def test_what_others_wrote_moves_no_cursor_and_begins_no_line(
    logging_as_before: None, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up_logs("text", "info")
    logging.getLogger("tidings.x").warning("name %s", HOSTILE, extra={"url": HOSTILE})
    said = capfd.readouterr().err
    assert said.count("\n") == 2, "a field's own line feeds are shown as such, in quotes"
    assert [line.startswith("    ") for line in said.splitlines()] == [False, True]
    assert all(sign.isprintable() for sign in said.replace("\n", ""))
    assert r"\x1b[2J" in said
    assert r"\udcff" in said


def test_a_json_line_is_one_whatever_is_in_it(capfd: pytest.CaptureFixture[str]) -> None:
    for value in (HOSTILE, 10**400, float("nan"), b"\xff", {1: "\udcff"}, object()):
        told = line("info", f"about {HOSTILE}", value=value)
        assert "\n" not in told
        assert json.loads(told)["message"] == f"about {HOSTILE}"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@db/app", "db/app"),
        ("postgresql:///app?host=/run/pg&password=secret", "/run/pg"),
        ("postgresql://db/app?user=u&password=secret", "db/app"),
        ("postgresql:///app?password=secret&host=/run/pg&user=secret", "/run/pg"),
    ],
)
def test_where_a_database_is_says_no_password(url: str, shown: str) -> None:
    assert where(url) == shown


def test_a_line_of_json_says_when_wherever_it_is_written() -> None:
    made = logging.LogRecord("tidings", logging.INFO, "", 0, "x", (), None)
    said = datetime.fromisoformat(json.loads(_Json().format(made))["at"])
    assert said.tzinfo == UTC
    assert abs(said - datetime.fromtimestamp(made.created, UTC)) < timedelta(milliseconds=2)


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
