"""Sending ahead to receivers that are gone, by clients with tokens, and beside a database that is away for this process alone."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from tests.support.ahead import Away, Hands, ahead_by, answered, are_ended, is_recorded, numbers, publish, ready_at
from tests.support.engine import Engine, eventually
from tests.support.receiver import Receiver, answer, says
from tests.support.tokens import TokenServer
from tidings.core.ahead import RENEW_INTERVAL, encode_said
from tidings.core.credentials import Credentials, OAuth2
from tidings.core.event import Event, uuid7
from tidings.core.fleet import sender_of
from tidings.core.limits import Limits
from tidings.core.pressure import Report, Why
from tidings.core.redaction import Rule
from tidings.store import limits, redaction
from tidings.transport.stream import Stream
from tidings.transport.stream_ahead import AheadStream
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.ahead import OLDEST_KNOWN, Ahead, Ready
from tidings.worker.ahead_session import FLEET_INTERVAL, LONGEST_FULL, Session, Streams
from tidings.worker.ahead_turn import Turn

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.ahead_fixtures")


async def test_a_receiver_that_is_gone_is_asked_once_and_its_webhook_is_closed_once_that_can_be_recorded(
    source: Engine, away: Away, receiver: Receiver
) -> None:
    home = away.engine
    hook = await away.hook(receiver.url())
    receiver.otherwise = says(answer(410))
    async with away.relaying(source):
        away.switch.cut()
        await publish(source, range(1))
        await receiver.wait_for(1)
        away.switch.mend()
        await eventually(lambda: are_ended(home, 1))
        await publish(source, range(1, 2))
        await eventually(lambda: has_events(home, 2))
    assert numbers(receiver) == [0]
    (row,) = await home.sql("select status, attempt_count, last_status from tidings.deliveries")
    assert tuple(row) == ("failed", 1, 410)
    (row,) = await home.sql("select enabled, disabled_reason from tidings.webhooks where id = $1", hook.id)
    assert (row["enabled"], "410" in row["disabled_reason"]) == (False, True)


async def has_events(home: Engine, count: int) -> bool:
    return bool(await home.value("select count(*) from tidings.events where type like 'order.%'") >= count)


async def test_a_client_gets_its_token_while_the_database_is_away(source: Engine, away: Away, receiver: Receiver) -> None:
    tokens = TokenServer()
    await tokens.start()
    try:
        client = OAuth2(tokens.url("/token"), "shop", "s3cret")
        await away.hook(receiver.url(), credentials=Credentials(client))
        async with away.relaying(source):
            away.switch.cut()
            await publish(source, range(3))
            received = await receiver.wait_for(3)
            away.switch.mend()
            await eventually(lambda: is_recorded(away.engine, 3))
    finally:
        await tokens.stop()
    assert {one.headers["authorization"] for one in received} == {"Bearer token-1"}
    assert numbers(receiver) == [0, 1, 2]


# What is known ------------------------------------------------------------------------------------------------------------


async def test_a_process_that_has_only_begun_sends_nothing_before_it_knows_all_that_is_asked(
    home: Engine, way: Stream, hands: Hands
) -> None:
    """Its worker reads rules when it routes first, which it may never have done."""
    hook = await home.add_webhook("http://127.0.0.1:1/", "*")
    now = home.clock.now()
    rule = Rule(
        id=uuid7(1, 1), group_id="default", name="x", events=("*",), fields=("card",), created_at=now, updated_at=now
    )  # fmt: skip
    async with home.services.wide.transaction() as connection:
        await redaction.add(connection, rule)
        await limits.put_defaults(connection, Limits(payload_bytes=10))
    known = home.worker.known
    ready = Ready(home.services.wide, known, monotonic=hands)
    one = Ahead(home.services.wide, streams_of(way), ready, home.clock, away_seconds=0, monotonic=hands)
    home.services.wide.outages.failed(ConnectionRefusedError())
    try:
        assert not await one._is_due()
        await ready.run_once()
        assert await one._is_due()
    finally:
        home.services.wide.outages._began = None
    assert known.routes.at_hand(hook.id) == hook
    assert known.privacy.has_rules("default")
    captured = event(home, source="tables", record='{"id": "long"}')
    assert list(known.payloads.faults([(7, captured)])) == [7]


async def test_what_was_known_long_before_the_database_went_is_not_gone_by(home: Engine, way: Stream, hands: Hands) -> None:
    """As by a process that alone had lost it, an hour ago: rules were made since, and secrets were rotated."""
    ready = await ready_at(home, hands)
    one = Ahead(home.services.wide, streams_of(way), ready, home.clock, away_seconds=0, monotonic=hands)
    hands.now += OLDEST_KNOWN
    assert not await one._is_due(), "the database is there"
    home.services.wide.outages.failed(ConnectionRefusedError())
    try:
        hands.now += 3600
        assert await one._is_due(), "however long it is away"
        home.services.wide.outages._began = None
        hands.now += 0.1
        assert not await one._is_due()
        home.services.wide.outages.failed(ConnectionRefusedError())
        assert not await one._is_due(), "it was there, and what has changed meanwhile is not known"
    finally:
        home.services.wide.outages._began = None


def streams_of(way: Stream) -> Streams:
    return Streams(way.flights, way.bucket, AheadStream(way, "here"), "here")


def event(engine: Engine, **fields: Any) -> Event:
    now = engine.clock.now()
    made = Event(
        uuid7(int(now.timestamp() * 1000), 0), "default", "publish", "order.paid", None, None, None, None, "{}", None, now
    )
    return msgspec.structs.replace(made, **fields)


# For whom the database is away --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "is_away"),
    [(asyncpg.TooManyConnectionsError(""), False), (ConnectionRefusedError(), False), (asyncpg.DiskFullError(""), True)],
)
async def test_a_database_that_refuses_us_alone_is_not_away(
    home: Engine, way: Stream, hands: Hands, error: Exception, is_away: bool
) -> None:
    """Others of the home say how it is, which takes its database; nobody may land, as while the outbox is full."""
    one = Ahead(
        home.services.wide, streams_of(way), await ready_at(home, hands), home.clock, away_seconds=30, monotonic=hands
    )  # fmt: skip
    home.services.wide.outages.failed(error)
    try:
        for number in range(5):
            report = Report(home.clock.now() + timedelta(seconds=number), 100_000, 1.0, True, [], [])
            await way.bucket.report(sender_of("here"), report)
            assert await one._is_due() == (is_away and number > 2)
            hands.now += 14.9
        assert await one._is_due() == is_away
        hands.now += 30
        assert await one._is_due(), "to nobody it is there"
    finally:
        home.services.wide.outages._began = None


# The stream ---------------------------------------------------------------------------------------------------------------


class Counted(AheadStream):
    """A stream of answers that counts what it is asked."""

    questions = puts = 0
    is_roomy = True

    async def has_room(self) -> bool:
        self.questions += 1
        return self.is_roomy

    async def put(self, number: int, data: bytes) -> None:
        self.puts += 1
        if not self.is_roomy:
            raise StreamAwayError("maximum bytes exceeded", Why.FULL)
        await super().put(number, data)


async def session_at(home: Engine, way: Stream, beside: AheadStream, hands: Hands) -> Session:
    said = ahead_by("us")
    made = await beside.change(encode_said(said), 0)
    assert made is not None
    turn = Turn(beside, said, made, hands)
    known = (await ready_at(home)).known
    return Session(
        Streams(way.flights, way.bucket, beside, "here"), known, home.clock, turn,
        since=0.0, is_over=lambda: False, monotonic=hands,
    )  # fmt: skip


async def test_a_stream_of_answers_that_is_full_is_asked_now_and_then(home: Engine, way: Stream, hands: Hands) -> None:
    counted = Counted(way, "here")
    session = await session_at(home, way, counted, hands)
    counted.is_roomy = False
    for _ in range(3000):  # five minutes
        assert not await session._run_once()
        assert session._turn.is_sure
        hands.now += 0.1
    assert 5 <= counted.questions <= 4 + 300 / LONGEST_FULL
    counted.is_roomy = True
    hands.now += LONGEST_FULL
    await session._run_once()
    assert not session._is_full
    before = counted.questions
    for _ in range(30):
        hands.now += FLEET_INTERVAL / 10
        await session._run_once()
    assert counted.questions <= before + 4


async def test_answers_that_find_no_room_are_offered_again_in_longer_and_longer_pauses(
    home: Engine, way: Stream, hands: Hands
) -> None:
    """Else what is full would be asked ten times a second. Whoever has the turn keeps it meanwhile."""
    counted = Counted(way, "here")
    session = await session_at(home, way, counted, hands)
    counted.is_roomy = False
    session._untold[1, uuid4()] = [answered()]
    for _ in range(600):  # a minute
        await session._run_once()
        assert session._turn.is_sure
        hands.now += 0.1
    assert 20 <= counted.puts <= 2 * (60 / RENEW_INTERVAL + 6), "each twice: as a whole, and the status alone"
    counted.is_roomy = True
    hands.now += RENEW_INTERVAL
    await session._run_once()
    assert session._untold == {}
