"""What somebody should see to in a fleet, decided from what its members say."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from tidings.core.ahead import NOBODY, Said, Turn
from tidings.core.pressure import (
    MAX_REPORT_BYTES,
    TO_START,
    TROUBLES,
    Report,
    Seen,
    Standing,
    Trouble,
    Waits,
    Why,
    read_report,
    still_on_the_way,
    troubles,
    why,
)
from tidings.store.relay import Flight, Load
from tidings.worker.outgoing import FRAME, MAX_AT_HAND, MAX_BYTES_AT_HAND, Outgoing

NOW = datetime(2026, 11, 22, tzinfo=UTC)
WELL = Standing("eu", 1, 10, 100, 3, 3, "n1", 1.0)
SAID = Report(NOW - timedelta(seconds=3), 5, 1.0, False, [], [Waits("eu", 1, 2, 3, 1.0, Why.NOTHING)])

AHEAD = Said(Turn.AHEAD, "some process", NOW - timedelta(minutes=3), 17)

ILL: dict[str, Seen] = {
    "stream_away": Seen(NOW, [], away="no servers"),
    "stream_missing": Seen(NOW, [], ["eu"]),
    "stream_leaderless": Seen(NOW, [msgspec.structs.replace(WELL, leader="", current=2)]),
    "stream_behind": Seen(NOW, [msgspec.structs.replace(WELL, current=2, behind=("n3",))]),
    "stream_full": Seen(NOW, [msgspec.structs.replace(WELL, bytes=90)]),
    "home_late": Seen(NOW, [msgspec.structs.replace(WELL, seconds=61.0)]),
    "home_ahead": Seen(NOW, [WELL], ahead={"eu": AHEAD}),
    "home_ahead_unread": Seen(NOW, [WELL], ahead={"eu": None}),
    "source_silent": Seen(NOW, [], sources={"shop": msgspec.structs.replace(SAID, at=NOW - timedelta(hours=3))}),
    "source_unread": Seen(NOW, [], sources={"shop": None}),
    "source_waits": Seen(NOW, [], sources={"shop": msgspec.structs.replace(SAID, waits=[Waits("eu", 9, 2, 3, 1.0, Why.FULL)])}),
    "source_full": Seen(NOW, [], sources={"shop": msgspec.structs.replace(SAID, is_full=True)}),
    "source_set_aside": Seen(NOW, [], sources={"shop": msgspec.structs.replace(SAID, set_aside=3)}),
    "source_late": Seen(NOW, [], sources={"shop": msgspec.structs.replace(SAID, outbox_seconds=61.0)}),
}


@pytest.mark.parametrize("name", ILL)
def test_each_trouble_is_told_alone(name: str) -> None:
    assert [one.name for one in troubles(ILL[name])] == [name]


def test_every_trouble_is_a_figure() -> None:
    assert {*ILL, "home_silent", "move_unfinished"} == set(TROUBLES)


def test_a_fleet_that_goes_on_has_none_nor_one_that_is_drained_on_purpose() -> None:
    assert troubles(Seen(NOW, [WELL], sources={"shop": SAID})) == []
    drained = msgspec.structs.replace(SAID, drained=["eu"], waits=[Waits("eu", 9, 2, 3, 900.0, Why.DRAINED)])
    late = msgspec.structs.replace(WELL, seconds=900.0)
    assert troubles(Seen(NOW, [late], sources={"shop": drained}, drained=["eu"])) == []
    over = [NOBODY, *(msgspec.structs.replace(AHEAD, state=state) for state in (Turn.ENDING, Turn.ENDED))]
    assert troubles(Seen(NOW, [WELL], ahead={str(number): said for number, said in enumerate(over)})) == []
    unbounded = msgspec.structs.replace(WELL, most_bytes=-1)
    assert troubles(Seen(NOW, [unbounded])) == []


def test_sentences_name_the_thing_and_since_when() -> None:
    (found,) = troubles(ILL["stream_away"])
    assert found.sentence == f"Nothing comes by the stream: no servers. What is committed at sources waits. {TO_START}"
    (found,) = troubles(ILL["source_silent"])
    assert found == Trouble("source_silent", "shop", found.sentence, 10_800.0)
    assert found.sentence.startswith("Source shop has said nothing for 3 hours:")
    seen = msgspec.structs.replace(ILL["source_silent"], sources={"home_eu": ILL["source_silent"].sources["shop"]})
    (found,) = troubles(seen)
    assert found.sentence.startswith(
        "Home eu has said nothing for 3 hours: no serve or worker runs there, or it cannot reach its database or the stream."
    )


def test_the_remedy_of_what_is_drained_names_its_home_without_which_the_command_is_refused() -> None:
    assert why(Waits("eu", 9, 2, 3, 900.0, Why.DRAINED)).endswith("tidings stream drain --home eu --resume")
    assert why(Waits("eu", 9, 2, 3, 900.0, Why.NOTHING)) == ""


@pytest.mark.parametrize(
    "said",
    [
        b"", b"\xff", b"[]", b"{}", b'{"at": 3}', b"[" * 100_000, b" " * (MAX_REPORT_BYTES + 1),
        msgspec.json.encode(msgspec.structs.replace(SAID, at=NOW.replace(tzinfo=None))),
        msgspec.json.encode(msgspec.structs.replace(SAID, outbox_rows=-1)),
        msgspec.json.encode(SAID).replace(b'"why":""', b'"why":"because"'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_of_a_source_is_nothing(said: bytes) -> None:
    assert read_report(said) is None
    assert read_report(msgspec.json.encode(SAID)) == SAID


def test_it_is_told_for_how_long_a_home_has_sent_ahead() -> None:
    (found,) = troubles(ILL["home_ahead"])
    assert found == Trouble("home_ahead", "eu", found.sentence, 180.0)
    assert found.sentence.startswith("Home eu has sent ahead for 3 minutes, since its database is away:")


def test_a_home_is_drained_once_every_source_has_said_so_since_and_nothing_is_in_the_stream() -> None:
    seen = Seen(NOW, [WELL], sources={"shop": SAID, "odd": None}, drained=["eu"])
    assert len(still_on_the_way(seen, ["eu"], 2, ())) == 3
    assert still_on_the_way(seen, ["eu"], 2, ("odd", "shop")) == ["1 flight waits for eu in the stream."]
    before = msgspec.structs.replace(SAID, drained=["eu"], heeded=1)
    empty = msgspec.structs.replace(WELL, flights=0)
    assert len(still_on_the_way(Seen(NOW, [empty], sources={"shop": before}, drained=["eu"]), ["eu"], 2, ())) == 1
    since = msgspec.structs.replace(before, heeded=2)
    assert still_on_the_way(Seen(NOW, [empty], sources={"shop": since}, drained=["eu"]), ["eu"], 2, ()) == []
    called_off = still_on_the_way(Seen(NOW, [empty], sources={"shop": since}), ["eu"], 2, ())
    assert called_off == ["eu is drained no longer: somebody has run --resume."]


# The line of one home ------------------------------------------------------------------------------------------------------


def flight(number: int, size: int = 10) -> Flight:
    return Flight(uuid4(), "eu", b"x" * size, 2, number, NOW)


def test_of_a_line_the_beginning_is_at_hand_and_the_rest_is_read_in_its_order() -> None:
    line = Outgoing("eu")
    every = [flight(number) for number in range(1, 41)]
    for one in every:
        line.add(one)
    assert (line.flights, line.events, line.bytes) == (40, 80, 40 * (10 + FRAME))
    sent = []
    while line.flights:
        if line.behind is not None:
            line.load([one for one in every if one.number > line.behind][:MAX_AT_HAND])
        assert line.first is not None
        sent.append(line.done().number)
    assert sent == list(range(1, 41))
    assert (line.events, line.bytes, line.behind) == (0, 0, None)


def test_a_line_keeps_few_bytes_at_hand_and_one_flight_however_large() -> None:
    line = Outgoing("eu")
    for number in (1, 2):
        line.add(flight(number, MAX_BYTES_AT_HAND + 1))
    assert line.first is not None
    line.done()
    assert line.first is None
    assert line.behind == 1


def test_a_flight_that_was_taken_whole_meanwhile_leaves_the_next_whole() -> None:
    line = Outgoing("eu")
    first, second = flight(1), flight(2)
    line.add(first)
    line.mark_split(first.id)
    assert line.first == msgspec.structs.replace(first, is_split=True)
    line.add(second)
    line.done()
    line.mark_split(first.id)
    assert line.first == second


def test_what_was_there_at_the_beginning_is_known_until_it_is_sent() -> None:
    line = Outgoing("eu")
    line.begin(Load(1, 2, 10))
    line.add(flight(2))
    assert (line.first, line.behind, line.earlier) == (None, 0, 1)
    line.load([flight(1), flight(2)])
    line.done()
    assert (line.earlier, line.flights) == (0, 1)
    line.begin(None)
    assert line.waits(NOW) == Waits("eu", 0, 0, 0, 0.0, Why.NOTHING)
