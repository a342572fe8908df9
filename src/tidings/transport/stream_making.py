"""Making the stream of a fleet, and looking how it stands (docs/fleet.md)."""

from contextlib import suppress
from typing import Final

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StoreCompression, StreamConfig
from nats.js.errors import APIError, BadRequestError, NotFoundError, ServiceUnavailableError

from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet
from tidings.transport.stream import BUCKET, CONSUMER, FLEET, LANDING_SECONDS, Stream, stream_of, subject_of, told

MAX_UNACKNOWLEDGED: Final = 64  # flights of one home, of all its processes
MAX_BYTES: Final = 8 * 2**30  # of flights that wait for a home, unless it is said otherwise
DUPLICATE_SECONDS: Final = 120.0  # within which the stream itself knows a flight again; homes always do
LEAST_PAYLOAD: Final = 65_536  # bytes of a message that servers must take
LEAST_VERSION: Final = (2, 10)
_TOO_FEW_NODES: Final = {10005, 10074, 10023}  # no suitable peers; replicas not supported alone; insufficient resources


class Standing(msgspec.Struct, frozen=True):
    """What waits for a home. `replicas`: how many nodes hold it; `current`: how many of these are up to date."""

    home: str
    flights: int
    bytes: int
    most_bytes: int
    replicas: int
    current: int
    leader: str


async def make(way: Stream, fleet: Fleet, *, replicas: int, most_bytes: int) -> None:
    """Make what a fleet needs; nothing, when something of it cannot be made. What is there stays.

    Raises:
        StartupError: The servers cannot do it, or another fleet is there; with the remedy.
    """
    _check_servers(way)
    made: list[str] = []
    try:
        await way.jetstream.account_info()
        await _make_bucket(way, fleet, replicas, made)
        for home in fleet.homes:
            await _make_stream(way, home, replicas, most_bytes, made)
    except BaseException as error:
        for name in made:
            with suppress(NatsError, OSError, TimeoutError):
                await way.jetstream.delete_stream(name)
        if isinstance(error, NatsError | OSError | TimeoutError):
            raise StartupError(_why(way.servers, error, replicas)) from error
        raise


async def _make_bucket(way: Stream, fleet: Fleet, replicas: int, made: list[str]) -> None:
    try:
        there = await way.fleet()
    except StartupError:
        there = None
    if there is not None:
        if there != fleet:
            raise StartupError(
                f"There is a fleet at {way.servers} already, with homes {', '.join(there.homes)}. Homes are not added "
                "or taken away while groups live in them: name these, or use another account of NATS."
            )
        return
    made.append(f"KV_{BUCKET}")
    bucket = await way.jetstream.create_key_value(bucket=BUCKET, history=1, replicas=replicas, direct=True)
    await bucket.put(FLEET, msgspec.json.encode(fleet))


async def _make_stream(way: Stream, home: str, replicas: int, most_bytes: int, made: list[str]) -> None:
    name = stream_of(home)
    try:
        await way.jetstream.stream_info(name)
    except NotFoundError:
        pass
    else:
        return
    made.append(name)
    await way.jetstream.add_stream(
        StreamConfig(
            name=name, subjects=[subject_of(home, "*")], retention=RetentionPolicy.WORK_QUEUE, storage=StorageType.FILE,
            discard=DiscardPolicy.NEW, num_replicas=replicas, max_bytes=most_bytes, duplicate_window=DUPLICATE_SECONDS,
            compression=StoreCompression.S2,
        )
    )  # fmt: skip
    await way.jetstream.add_consumer(
        name,
        ConsumerConfig(
            durable_name=CONSUMER, ack_policy=AckPolicy.EXPLICIT, ack_wait=LANDING_SECONDS,
            max_ack_pending=MAX_UNACKNOWLEDGED,
        ),
    )  # fmt: skip


def _check_servers(way: Stream) -> None:
    version = way.version
    if version < LEAST_VERSION:
        raise StartupError(
            f"NATS at {way.servers} is {version[0]}.{version[1]}; Tidings needs {LEAST_VERSION[0]}.{LEAST_VERSION[1]} or later."
        )
    if way.most_bytes < LEAST_PAYLOAD:
        raise StartupError(
            f"NATS at {way.servers} takes messages of {way.most_bytes:,} bytes. Set max_payload to {LEAST_PAYLOAD:,} or more."
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


async def standing(way: Stream, fleet: Fleet) -> list[Standing]:
    """Return what waits for each home.

    Raises:
        StreamAwayError: No answer came, or the stream of a home is gone.
    """
    found = []
    async with told():
        for home in fleet.homes:
            info = await way.jetstream.stream_info(stream_of(home))
            peers = (info.cluster.replicas or []) if info.cluster is not None else []
            found.append(
                Standing(
                    home, info.state.messages, info.state.bytes, info.config.max_bytes or -1, info.config.num_replicas or 1,
                    1 + sum(bool(peer.current) for peer in peers), (info.cluster.leader if info.cluster else "") or "",
                )
            )  # fmt: skip
    return found
