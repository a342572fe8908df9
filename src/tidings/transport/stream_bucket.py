"""The bucket of keys in the stream: what all members of a fleet agree about, and what each says of itself."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final, Literal

import msgspec
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from tidings.core.capture import TableName
from tidings.core.cargo import ROOM
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet
from tidings.core.pressure import Drained, Report, read_report
from tidings.transport.stream_answers import UNREAD, told
from tidings.transport.stream_away import StreamAwayError

BUCKET: Final = "TIDINGS"
# Its keys, and what keys begin with
FLEET, WISHES, SETTLED, DRAINED, SOURCES, HOMES = "fleet", "wishes", "settled", "drained", "sources", "homes"
TRIES: Final = 5  # at what somebody else may change meanwhile
CHANGE_TRIES: Final = 20  # of one change of the directory, while others change it
MAX_MEMBERS: Final = 10_000  # senders whose standing is asked
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=63, pattern=r"^[^\x00]*$")]  # of a schema or a table
_Operation = Literal["INSERT", "UPDATE", "DELETE"]


class Bucket:
    """Reads and writes the keys that members of a fleet may."""

    def __init__(self, client: Client, jetstream: JetStreamContext, servers: str) -> None:
        """Make it. `servers`: as they are shown, without secrets."""
        self._client = client
        self._jetstream = jetstream
        self._servers = servers

    @asynccontextmanager
    async def _keys(self) -> AsyncIterator[KeyValue]:
        async with told():
            yield await self._jetstream.key_value(BUCKET)

    async def fleet(self) -> Fleet:
        """Return what the fleet is.

        Raises:
            StartupError: There is none here.
            StreamAwayError: No answer came.
        """
        return (await self._fleet_and_revision())[0]

    async def _fleet_and_revision(self) -> tuple[Fleet, int]:
        """As `fleet`, with the number that a change of it has to name."""
        none = StartupError(f"There is no fleet at {self._servers}. Run: tidings stream init --home NAME")
        async with told():
            try:
                entry = await (await self._jetstream.key_value(BUCKET)).get(FLEET)
            except NotFoundError:
                raise none from None
        return read_fleet(entry.value or b"", self._servers), entry.revision or 0

    async def change(self, changed: Callable[[Fleet], Fleet]) -> Fleet:
        """Change the fleet's directory, and return what it is. Of two that change it at once each sees what the other did.

        Raises:
            StartupError: There is no fleet, it may not be so, or its directory is larger than a message.
            StreamAwayError: It is not known whether it was changed.
        """
        for _ in range(CHANGE_TRIES):
            there, revision = await self._fleet_and_revision()
            fleet = changed(there)
            if fleet == there:
                return fleet
            data = msgspec.json.encode(fleet)
            if len(data) > self._client.max_payload - ROOM:
                raise StartupError(
                    f"The directory would have {len(data):,} bytes, and NATS at {self._servers} takes messages of "
                    f"{self._client.max_payload:,}. Set max_payload higher, or let names "
                    "lead to the homes where most groups live: tidings stream spread."
                )
            async with self._keys() as keys:
                try:
                    await keys.update(FLEET, data, revision)
                except KeyWrongLastSequenceError:
                    continue
            return fleet
        raise StartupError("Others change the directory all the time. Try again.")

    async def join(self, member: str) -> None:
        """Be known as one who sends, before anything is sent: whoever moves a group waits for what is on its way from all.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with self._keys() as keys:
            with suppress(KeyWrongLastSequenceError):  # it is known
                await keys.create(f"{SETTLED}.{member}", b"0")

    async def tell_settled(self, member: str, version: int) -> None:
        """Tell by which version of the directory a member sends, and that nothing by an older one is on its way."""
        async with self._keys() as keys:
            await keys.put(f"{SETTLED}.{member}", str(version).encode())

    async def settled(self) -> dict[str, int]:
        """Return of each sender the version of the directory by which all is sent that may be on its way from it.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        found = {}
        async with self._keys() as keys:
            # The node that leads says which there are. The client's own list of keys can be short of some, or of all.
            beginning = f"$KV.{BUCKET}.{SETTLED}."
            state = (await self._jetstream.stream_info(f"KV_{BUCKET}", subjects_filter=f"{beginning}>")).state
            for member in [subject.removeprefix(beginning) for subject in state.subjects or {}][:MAX_MEMBERS]:
                with suppress(NotFoundError, ValueError):
                    found[member] = int((await keys.get(f"{SETTLED}.{member}")).value or b"")
        return found

    async def forget(self, member: str) -> None:
        """Forget a sender that is gone for good.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        async with self._keys() as keys:
            await keys.delete(f"{SETTLED}.{member}")
            await keys.delete(f"{SOURCES}.{member}")

    async def put_wishes(self, home: str, wanted: Mapping[TableName, frozenset[str]]) -> None:
        """Tell the sources what webhooks of a home want to hear of tables."""
        rows = [(*table, sorted(operations)) for table, operations in sorted(wanted.items())]
        async with self._keys() as keys:
            await keys.put(f"{WISHES}.{home}", msgspec.json.encode(rows))

    async def wishes(self, homes: Iterable[str]) -> dict[str, dict[TableName, frozenset[str]] | None]:
        """Return what webhooks of homes want to hear of tables; None: what a home has said cannot be read."""
        found: dict[str, dict[TableName, frozenset[str]] | None] = {}
        async with self._keys() as keys:
            for home in homes:
                with suppress(NotFoundError):
                    entry = await keys.get(f"{WISHES}.{home}")
                    found[home] = _wanted(entry.value or b"[]")
        return found

    # What members say of themselves --------------------------------------------------------------------------------------

    async def report(self, source: str, report: Report) -> None:
        """Say how a source is."""
        async with self._keys() as keys:
            await keys.put(f"{SOURCES}.{source}", msgspec.json.encode(report))

    async def said(self, source: str) -> Report | None:
        """Return what a source said of itself last; None: nothing, or nobody can read it.

        Raises:
            StreamAwayError: No answer came.
        """
        async with self._keys() as keys:
            try:
                return read_report((await keys.get(f"{SOURCES}.{source}")).value or b"")
            except NotFoundError:
                return None

    async def drain(self, homes: Collection[str], *, is_over: bool = False) -> Drained:
        """Have sources send nothing to homes from now on, or go on; return the homes that are drained now.

        Raises:
            StreamAwayError: No answer came, or others change the same all the time.
        """
        for _ in range(TRIES):
            known = await self.drained()
            changed = known.homes - set(homes) if is_over else known.homes | set(homes)
            if changed == known.homes:
                return known
            async with self._keys() as keys:
                try:
                    revision = await keys.update(DRAINED, msgspec.json.encode(sorted(changed)), last=known.revision)
                except KeyWrongLastSequenceError:
                    continue
            return Drained(changed, revision)
        raise StreamAwayError("others say at the same moment what is drained; try again")

    async def drained(self) -> Drained:
        """Return homes that nothing is to be sent to.

        Raises:
            StreamAwayError: No answer came.
        """
        async with self._keys() as keys:
            try:
                entry = await keys.get(DRAINED)
            except NotFoundError as error:  # one that was deleted by hand has a revision that the next has to name
                return Drained(frozenset(), getattr(getattr(error, "entry", None), "revision", None) or 0)
        try:
            return Drained(frozenset(msgspec.json.decode(entry.value or b"[]", type=list[str])), entry.revision or 0)
        except UNREAD as error:
            raise StreamAwayError(f"what is drained cannot be read ({error}); delete {DRAINED} from bucket {BUCKET}") from error

    async def claim(self, home: str, identity: str, *, is_to_take: bool) -> str:
        """Have a database be the one that a home is, if none is yet; return which one is.

        Args:
            is_to_take: It takes the place of the one that was.

        Raises:
            StreamAwayError: No answer came.
        """
        async with self._keys() as keys:
            if is_to_take:
                await keys.put(f"{HOMES}.{home}", identity.encode())
                return identity
            try:
                entry = await keys.get(f"{HOMES}.{home}")
            except NotFoundError:
                with suppress(KeyWrongLastSequenceError):
                    await keys.create(f"{HOMES}.{home}", identity.encode())
                    return identity
                entry = await keys.get(f"{HOMES}.{home}")
        return (entry.value or b"").decode("ascii", "replace")

    async def part(self, home: str, member: str) -> None:
        """Have a home be known no more that the fleet is without: whoever moves a group, or drains, would wait for it.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        await self.forget(member)
        async with self._keys() as keys:
            await keys.delete(f"{HOMES}.{home}")


def read_fleet(said: bytes, servers: str) -> Fleet:
    """Return the fleet that a value says.

    Raises:
        StartupError: It cannot be read.
    """
    try:
        return msgspec.json.decode(said, type=Fleet)
    except UNREAD as error:
        raise StartupError(
            f"What the fleet at {servers} is cannot be read: {str(error).rstrip('.')}. Run one version of Tidings everywhere."
        ) from error


def _wanted(said: bytes) -> dict[TableName, frozenset[str]] | None:
    try:
        rows = msgspec.json.decode(said, type=list[tuple[_Name, _Name, list[_Operation]]])
    except UNREAD:
        return None
    return {(schema, table): frozenset(operations) for schema, table, operations in rows}
