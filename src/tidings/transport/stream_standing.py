"""Looking how the stream stands: what it keeps for homes, what sources say of themselves, what is drained."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from nats.js.errors import NotFoundError

from tidings.core.ahead import Said, read_said
from tidings.core.fleet import Fleet
from tidings.core.pressure import MAX_SOURCES, Report, Seen, Standing, read_report
from tidings.transport.stream import Stream
from tidings.transport.stream_ahead import AHEAD
from tidings.transport.stream_answers import UNREAD, told
from tidings.transport.stream_away import StreamAwayError
from tidings.transport.stream_bucket import BUCKET, SOURCES
from tidings.transport.stream_flights import CONSUMER, stream_of

AT_ONCE: Final = 16  # questions
_NOT_FOUND: Final = 404


class _Peer(msgspec.Struct, frozen=True):
    name: str = ""
    current: bool = False
    offline: bool = False


class _Cluster(msgspec.Struct, frozen=True):
    leader: str = ""
    replicas: list[_Peer] = []


class _Config(msgspec.Struct, frozen=True):
    num_replicas: int = 1
    max_bytes: int = -1


class _State(msgspec.Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    first_ts: str = ""
    last_seq: int = 0
    subjects: dict[str, int] | None = None


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    description: str = ""


class _Info(msgspec.Struct, frozen=True):
    """What the servers say about a stream. nats-py's own type leaves out when its first message came."""

    error: _Error | None = None
    config: _Config = _Config()
    state: _State = _State()
    cluster: _Cluster | None = None
    ts: str = ""


class _Landed(msgspec.Struct, frozen=True):
    last_active: str = ""


class _Consumer(msgspec.Struct, frozen=True):
    """What the servers say about who is given the flights of a home."""

    error: _Error | None = None
    ack_floor: _Landed = _Landed()
    num_pending: int = 0
    num_ack_pending: int = 0

    @property
    def waiting(self) -> int:
        """Flights that were not landed. The stream keeps some that were (`core.kept`)."""
        return self.num_pending + self.num_ack_pending


class GoneError(StreamAwayError):
    """There is no such stream."""


_Answer = TypeVar("_Answer", _Info, _Consumer)


async def standing(way: Stream, fleet: Fleet) -> list[Standing]:
    """Return what the stream keeps for each home.

    Raises:
        StreamAwayError: No answer came, or the stream of a home is gone.
    """
    return [await standing_of(way, home) for home in fleet.homes]


async def standing_of(way: Stream, home: str) -> Standing:
    """Return what the stream keeps for a home.

    Raises:
        GoneError: The home has no stream.
        StreamAwayError: No answer came.
    """
    info, given = await _info(way, stream_of(home)), await _given(way, home)
    cluster = info.cluster or _Cluster(way.connected_to or "the only node")
    behind = tuple(sorted(peer.name for peer in cluster.replicas if peer.offline or not peer.current))
    replicas = info.config.num_replicas
    return Standing(
        home, given.waiting, info.state.bytes, info.config.max_bytes, replicas,
        min(replicas, bool(cluster.leader) + len(cluster.replicas) - len(behind)), cluster.leader,
        _age(info, given) if given.waiting else 0.0, behind, info.state.last_seq,
    )  # fmt: skip


async def look(way: Stream, homes: Sequence[str], now: datetime) -> Seen:
    """Look at what is kept for homes, what sources say, what is drained, and which homes send ahead.

    Raises:
        StreamAwayError: No answer came.
    """
    found, missing = [], []
    for home, one in zip(homes, await _all(homes, lambda home: _standing(way, home)), strict=True):
        if one is None:
            missing.append(home)
        else:
            found.append(one)
    drained = sorted((await way.bucket.drained()).homes)
    return Seen(now, found, missing, await _sources(way), drained, ahead=await _ahead(way, homes))


async def _standing(way: Stream, home: str) -> Standing | None:
    with suppress(GoneError):
        return await standing_of(way, home)
    return None


async def _sources(way: Stream) -> dict[str, Report | None]:
    start = f"$KV.{BUCKET}.{SOURCES}."
    info = await _info(way, f"KV_{BUCKET}", subjects_filter=f"{start}>")
    names = sorted(subject.removeprefix(start) for subject in info.state.subjects or {})[:MAX_SOURCES]
    return {name: read_report(text) for name, text in (await _said(way, SOURCES, names)).items()}


async def _ahead(way: Stream, homes: Sequence[str]) -> dict[str, Said | None]:
    return {home: read_said(text) for home, text in (await _said(way, AHEAD, homes)).items()}


async def _said(way: Stream, kind: str, names: Sequence[str]) -> dict[str, bytes]:
    """Return what members have put under keys of the bucket. Any node may tell, so that it can be a moment old."""
    async with told():
        bucket = await way.jetstream.key_value(BUCKET)

        async def said(name: str) -> bytes | None:
            with suppress(NotFoundError):  # it has left the fleet, or has nothing to say
                return (await bucket.get(f"{kind}.{name}")).value or b""
            return None

        found = zip(names, await _all(names, said), strict=True)
    return {name: text for name, text in found if text is not None}


async def _all(names: Sequence[str], ask: Any) -> list[Any]:
    """Ask about several, some at once."""
    found: list[Any] = []
    for at in range(0, len(names), AT_ONCE):
        found += await asyncio.gather(*(ask(name) for name in names[at : at + AT_ONCE]))
    return found


async def _info(way: Stream, name: str, *, subjects_filter: str | None = None) -> _Info:
    asked = b"" if subjects_filter is None else msgspec.json.encode({"subjects_filter": subjects_filter})
    return await _answer(way, f"STREAM.INFO.{name}", asked, _Info, f"stream {name}")


async def _given(way: Stream, home: str) -> _Consumer:
    return await _answer(way, f"CONSUMER.INFO.{stream_of(home)}.{CONSUMER}", b"", _Consumer, f"home {home}")


async def _answer(way: Stream, question: str, asked: bytes, kind: type[_Answer], of: str) -> _Answer:
    async with told():
        said = await way.ask(f"$JS.API.{question}", asked)
    try:
        answer = msgspec.json.decode(said, type=kind)
    except UNREAD as error:
        raise StreamAwayError(f"what NATS says about {of} cannot be read ({error})") from error
    if answer.error is not None:
        away = GoneError if answer.error.code == _NOT_FOUND else StreamAwayError
        raise away(f"{of}: {answer.error.description[:200]}")
    return answer


def _age(info: _Info, given: _Consumer) -> float:
    """Return for how long the first flight that was not landed has waited at most, by the servers' own clock.

    What is kept came before it, and what was landed last was landed before it waited alone.
    """
    found = []
    for since in (info.state.first_ts, given.ack_floor.last_active):
        with suppress(msgspec.MsgspecError):
            found.append((_instant(info.ts) - _instant(since)).total_seconds())
    return max(0.0, min(found, default=0.0))


def _instant(text: str) -> datetime:
    return msgspec.convert(text, datetime)
