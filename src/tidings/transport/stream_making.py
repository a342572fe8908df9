"""Making the stream of a fleet, and looking how it stands (docs/fleet.md)."""

from contextlib import suppress
from typing import Final

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StoreCompression, StreamConfig
from nats.js.errors import (
    APIError,
    BadRequestError,
    NotFoundError,
    ServiceUnavailableError,
)

from tidings.core.cargo import LEAST_CARRIED
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, with_homes
from tidings.core.pressure import TO_START
from tidings.transport.stream import Stream
from tidings.transport.stream_ahead import AHEAD, ahead_config, ahead_of
from tidings.transport.stream_answers import told
from tidings.transport.stream_bucket import BUCKET, FLEET, HOMES, WISHES, read_fleet
from tidings.transport.stream_flights import CONSUMER, LANDING_SECONDS, stream_of, subject_of
from tidings.transport.stream_turn import LostTurnError, Turn, turn

MAX_UNACKNOWLEDGED: Final = 64  # flights of one home, of all its processes
MAX_BYTES: Final = 8 * 2**30  # of flights that wait for a home, unless it is said otherwise
DUPLICATE_SECONDS: Final = 120.0  # within which the stream itself knows a flight again; homes always do
LEAST_VERSION: Final = (2, 10)
_TOO_FEW_NODES: Final = {10005, 10074, 10023, 10047}  # no suitable peers; no replicas alone; insufficient resources, or storage


async def make(way: Stream, fleet: Fleet, *, replicas: int, most_bytes: int, version: int = 0) -> Fleet:
    """Make what a fleet needs, and return it; nothing, when something of it cannot be made. What is there stays.

    Homes that the fleet does not have yet are added. No group lives there until it is moved or put there.

    Args:
        version: Of the directory; a later one is higher.

    Raises:
        StartupError: The servers cannot do it, or another fleet is there; with the remedy.
    """
    _check_servers(way)
    try:
        await way.jetstream.account_info()
        _check_homes(way.servers, await _fleet_there(way), fleet)
        async with turn(way, replicas) as own:
            await _make_alone(way, own, msgspec.structs.replace(fleet, version=version), replicas, most_bytes)
        return await way.bucket.change(lambda there: with_homes(there, fleet.homes, version))
    except (NatsError, OSError, TimeoutError) as error:
        raise StartupError(_why(way.servers, error, replicas)) from error


async def _make_alone(way: Stream, own: Turn, fleet: Fleet, replicas: int, most_bytes: int) -> None:
    """Make what is not there; take it back, and nothing else, when something cannot be made."""
    made: list[str] = []
    there = await _fleet_there(way)
    _check_homes(way.servers, there, fleet)
    try:
        for home in fleet.homes:
            if not await _is_there(way, stream_of(home)):
                made.append(stream_of(home))
            await _make_stream(way, home, replicas, most_bytes)
            await own.keep()
            if not await _is_there(way, ahead_of(home)):
                made.append(ahead_of(home))
                await _add_ahead(way, home)
            await own.keep()
        if there is None:
            await own.bucket.create(FLEET, msgspec.json.encode(fleet))
    except LostTurnError:
        raise  # what there is is of whoever goes on
    except BaseException:
        for name in [*made, *([f"KV_{BUCKET}"] if there is None else [])]:
            with suppress(NatsError, OSError, TimeoutError):
                await way.jetstream.delete_stream(name)
        raise


async def _fleet_there(way: Stream) -> Fleet | None:
    """Return the fleet that there is; None: there is none.

    The node that leads is asked: another may not have heard of it yet, and what is there would be taken for half made.

    Raises:
        StartupError: It cannot be read.
    """
    try:
        found = await way.jetstream.get_last_msg(f"KV_{BUCKET}", f"$KV.{BUCKET}.{FLEET}")
    except NotFoundError:
        return None
    return read_fleet(found.data, way.servers) if found.data else None  # a key that was deleted has no value


async def _is_there(way: Stream, name: str) -> bool:
    try:
        await way.jetstream.stream_info(name)
    except NotFoundError:
        return False
    return True


async def has_stream(way: Stream, home: str) -> bool:
    """Return whether there is a stream for a home.

    Raises:
        StreamAwayError: The stream did not answer.
    """
    async with told():
        return await _is_there(way, stream_of(home))


async def take_away(way: Stream, home: str) -> bool:
    """Take away the streams of a home that the fleet does not have any more; False: flights are in one, and they stay.

    Raises:
        StreamAwayError: The stream did not answer.
    """
    async with told():
        if await _has_flights(way, home):
            return False
        bucket = await way.jetstream.key_value(BUCKET)
        for key in (WISHES, HOMES, AHEAD):
            await bucket.delete(f"{key}.{home}")
    await way.bucket.drain([home], is_over=True)  # whatever is called so later begins anew
    async with told():
        with suppress(NotFoundError):  # of a fleet that was made before homes had one
            await way.jetstream.delete_stream(ahead_of(home))
        with suppress(NotFoundError):
            await way.jetstream.delete_stream(stream_of(home))  # last: whoever was broken off before goes on by it
    return True


async def _has_flights(way: Stream, home: str) -> bool:
    """Whether there are flights in the stream of a home that may not be landed."""
    with suppress(NotFoundError):
        given = await way.jetstream.consumer_info(stream_of(home), CONSUMER)
        return bool(given.num_pending or given.num_ack_pending)
    with suppress(NotFoundError):  # who gives them out is gone, by the tools of NATS, and with it what was landed
        return bool((await way.jetstream.stream_info(stream_of(home))).state.messages)
    return False


def _check_homes(servers: str, there: Fleet | None, fleet: Fleet) -> None:
    """Refuse to make a fleet where another is.

    Raises:
        StartupError: What is there has homes that are not named now.
    """
    if there is not None and not {*there.homes} <= {*fleet.homes}:
        raise StartupError(
            f"There is a fleet at {servers} already, with homes {', '.join(there.homes)}. To add homes name these too; "
            "to take one away: tidings stream remove; for another fleet use another account of NATS."
        )


async def _make_stream(way: Stream, home: str, replicas: int, most_bytes: int) -> None:
    """Make the stream of a home where there is none, and who gives its flights out, where somebody died in between."""
    name = stream_of(home)
    if not await _is_there(way, name):
        await _add_stream(way, name, home, replicas, most_bytes)
    await way.jetstream.add_consumer(
        name,
        ConsumerConfig(
            durable_name=CONSUMER, ack_policy=AckPolicy.EXPLICIT, ack_wait=LANDING_SECONDS,
            max_ack_pending=MAX_UNACKNOWLEDGED,
        ),
    )  # fmt: skip


async def _add_ahead(way: Stream, home: str) -> None:
    """Make the second stream of a home like its first, which a fleet may have had before homes had two."""
    its = (await way.jetstream.stream_info(stream_of(home))).config
    await way.jetstream.add_stream(ahead_config(home, its.num_replicas or 1, its.max_bytes or -1))


async def _add_stream(way: Stream, name: str, home: str, replicas: int, most_bytes: int) -> None:
    await way.jetstream.add_stream(
        StreamConfig(
            name=name, subjects=[subject_of(home, "*")], retention=RetentionPolicy.LIMITS, storage=StorageType.FILE,
            discard=DiscardPolicy.NEW, num_replicas=replicas, max_bytes=most_bytes, duplicate_window=DUPLICATE_SECONDS,
            compression=StoreCompression.S2,
        )
    )  # fmt: skip


def _check_servers(way: Stream) -> None:
    version = way.version
    if version < LEAST_VERSION:
        raise StartupError(
            f"NATS at {way.servers} is {version[0]}.{version[1]}; Tidings needs {LEAST_VERSION[0]}.{LEAST_VERSION[1]} or later."
        )
    if (most := way.flights.most_bytes) < LEAST_CARRIED:
        raise StartupError(
            f"NATS at {way.servers} takes messages of {most:,} bytes. Set max_payload to {LEAST_CARRIED:,} or more."
        )


def _why(servers: str, error: BaseException, replicas: int) -> str:
    if isinstance(error, APIError) and error.err_code in _TOO_FEW_NODES:
        return (
            f"NATS at {servers} cannot keep {replicas} copies ({error.description}). Start as many nodes with "
            "JetStream, with room on their disks (max_file_store), or ask for fewer: --replicas."
        )
    if isinstance(error, ServiceUnavailableError) or "no responders" in str(error):
        return f"NATS at {servers} has no JetStream, or none that answers. Start its nodes with jetstream enabled. {TO_START}"
    if isinstance(error, BadRequestError | APIError):
        return f"NATS at {servers} refused: {error.description}."
    return f"NATS at {servers} did not answer ({str(error) or type(error).__name__})."
