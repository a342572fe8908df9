"""Making the stream of a fleet, and looking how it stands (docs/fleet.md)."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StoreCompression, StreamConfig
from nats.js.errors import (
    APIError,
    BadRequestError,
    KeyWrongLastSequenceError,
    NotFoundError,
    ServiceUnavailableError,
)

from tidings.core.cargo import LEAST_CARRIED, ROOM
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, with_homes
from tidings.transport.stream import (
    BUCKET,
    CONSUMER,
    FLEET,
    HOMES,
    LANDING_SECONDS,
    SETTLED,
    SOURCES,
    WISHES,
    Stream,
    stream_of,
    subject_of,
    told,
)
from tidings.transport.stream_turn import LostTurnError, Turn, turn

MAX_UNACKNOWLEDGED: Final = 64  # flights of one home, of all its processes
MAX_BYTES: Final = 8 * 2**30  # of flights that wait for a home, unless it is said otherwise
DUPLICATE_SECONDS: Final = 120.0  # within which the stream itself knows a flight again; homes always do
CHANGE_TRIES: Final = 20  # of one change of the directory, while others change it
MAX_MEMBERS: Final = 10_000  # senders whose standing is asked
LEAST_VERSION: Final = (2, 10)
_TOO_FEW_NODES: Final = {10005, 10074, 10023}  # no suitable peers; replicas not supported alone; insufficient resources


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
        await _check_homes(way, fleet)
        async with turn(way, replicas) as own:
            await _make_alone(way, own, msgspec.structs.replace(fleet, version=version), replicas, most_bytes)
        return await change(way, lambda there: with_homes(there, fleet.homes, version))
    except (NatsError, OSError, TimeoutError) as error:
        raise StartupError(_why(way.servers, error, replicas)) from error


async def _make_alone(way: Stream, own: Turn, fleet: Fleet, replicas: int, most_bytes: int) -> None:
    """Make what is not there; take it back, and nothing else, when something cannot be made."""
    made: list[str] = []
    is_there = await _is_fleet_there(way)
    if is_there:
        await _check_homes(way, fleet)
    try:
        for home in fleet.homes:
            if not await _is_there(way, stream_of(home)):
                made.append(stream_of(home))
            await _make_stream(way, home, replicas, most_bytes)
            await own.keep()
        if not is_there:
            await own.bucket.create(FLEET, msgspec.json.encode(fleet))
    except LostTurnError:
        raise  # what there is is of whoever goes on
    except BaseException:
        for name in [*made, *([] if is_there else [f"KV_{BUCKET}"])]:
            with suppress(NatsError, OSError, TimeoutError):
                await way.jetstream.delete_stream(name)
        raise


async def _is_fleet_there(way: Stream) -> bool:
    """Ask the node that leads: another may not have heard of it yet, and what is there would be taken for half made."""
    try:
        await way.jetstream.get_last_msg(f"KV_{BUCKET}", f"$KV.{BUCKET}.{FLEET}")
    except NotFoundError:
        return False
    return True


async def _is_there(way: Stream, name: str) -> bool:
    try:
        await way.jetstream.stream_info(name)
    except NotFoundError:
        return False
    return True


async def change(way: Stream, changed: Callable[[Fleet], Fleet]) -> Fleet:
    """Change the fleet's directory, and return what it is. Of two that change it at once each sees what the other did.

    Raises:
        StartupError: There is no fleet, it may not be so, or its directory is larger than a message.
        StreamAwayError: It is not known whether it was changed.
    """
    for _ in range(CHANGE_TRIES):
        there, revision = await way.fleet_and_revision()
        fleet = changed(there)
        if fleet == there:
            return fleet
        data = msgspec.json.encode(fleet)
        if len(data) > way.most_bytes - ROOM:
            raise StartupError(
                f"The directory would have {len(data):,} bytes, and NATS at {way.servers} takes messages of "
                f"{way.most_bytes:,}. Set max_payload higher, or let names "
                "lead to the homes where most groups live: tidings stream spread."
            )
        async with told():
            bucket = await way.jetstream.key_value(BUCKET)
            try:
                await bucket.update(FLEET, data, revision)
            except KeyWrongLastSequenceError:
                continue
        return fleet
    raise StartupError("Others change the directory all the time. Try again.")


async def settled(way: Stream) -> dict[str, int]:
    """Return of each sender the version of the directory by which all is sent that may be on its way from it.

    Raises:
        StreamAwayError: The stream did not answer.
    """
    found = {}
    async with told():
        bucket = await way.jetstream.key_value(BUCKET)
        # The node that leads says which there are. The client's own list of keys can be short of some, or of all.
        beginning = f"$KV.{BUCKET}.{SETTLED}."
        state = (await way.jetstream.stream_info(f"KV_{BUCKET}", subjects_filter=f"{beginning}>")).state
        for member in [subject.removeprefix(beginning) for subject in state.subjects or {}][:MAX_MEMBERS]:
            with suppress(NotFoundError, ValueError):
                found[member] = int((await bucket.get(f"{SETTLED}.{member}")).value or b"")
    return found


async def forget_member(way: Stream, member: str) -> None:
    """Forget a sender that is gone for good.

    Raises:
        StreamAwayError: The stream did not answer.
    """
    async with told():
        bucket = await way.jetstream.key_value(BUCKET)
        await bucket.delete(f"{SETTLED}.{member}")
        await bucket.delete(f"{SOURCES}.{member}")


async def has_stream(way: Stream, home: str) -> bool:
    """Return whether there is a stream for a home.

    Raises:
        StreamAwayError: The stream did not answer.
    """
    async with told():
        return await _is_there(way, stream_of(home))


async def take_away(way: Stream, home: str) -> bool:
    """Take away the stream of a home that the fleet does not have any more; False: flights are in it, and it stays.

    Raises:
        StreamAwayError: The stream did not answer.
    """
    async with told():
        with suppress(NotFoundError):
            given = await way.jetstream.consumer_info(stream_of(home), CONSUMER)
            if given.num_pending or given.num_ack_pending:
                return False
        bucket = await way.jetstream.key_value(BUCKET)
        await bucket.delete(f"{WISHES}.{home}")
        await bucket.delete(f"{HOMES}.{home}")
    await way.drain([home], is_over=True)  # whatever is called so later begins anew
    async with told():
        with suppress(NotFoundError):
            await way.jetstream.delete_stream(stream_of(home))  # last: whoever was broken off before goes on by it
    return True


async def _check_homes(way: Stream, fleet: Fleet) -> bool:
    """Return whether there is a fleet, whose homes are all of those that are named now.

    Raises:
        StartupError: One has others.
    """
    try:
        there = await way.fleet()
    except StartupError:
        return False
    if not {*there.homes} <= {*fleet.homes}:
        raise StartupError(
            f"There is a fleet at {way.servers} already, with homes {', '.join(there.homes)}. To add homes name these too; "
            "to take one away: tidings stream remove; for another fleet use another account of NATS."
        )
    return True


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
    if way.most_bytes < LEAST_CARRIED:
        raise StartupError(
            f"NATS at {way.servers} takes messages of {way.most_bytes:,} bytes. Set max_payload to {LEAST_CARRIED:,} or more."
        )


def _why(servers: str, error: BaseException, replicas: int) -> str:
    if isinstance(error, APIError) and error.err_code in _TOO_FEW_NODES:
        return (
            f"NATS at {servers} cannot keep {replicas} copies ({error.description}). Start as many nodes with "
            "JetStream, with room on their disks, or ask for fewer: --replicas."
        )
    if isinstance(error, ServiceUnavailableError) or "no responders" in str(error):
        return f"NATS at {servers} has no JetStream, or none that answers. Start its nodes with jetstream enabled."
    if isinstance(error, BadRequestError | APIError):
        return f"NATS at {servers} refused: {error.description}."
    return f"NATS at {servers} did not answer ({error or type(error).__name__})."
