"""Group commit: events published one by one, at nearly the price of a batch.

A commit costs a journey to PostgreSQL and a flush to its disk, for one event as for a hundred. So calls that arrive while
commits are under way wait, and the next takes them all: one statement, whosever they are. A lone call waits for nobody. No
timer collects calls: under load they collect by themselves. Where more wait than one commit takes, groups take turns.

One commit must not make its callers each other's hostages. Each is answered for its own event. If PostgreSQL refuses a commit,
its events are committed one by one, and only what is refused of each alone is refused. A publisher's id that an open
transaction elsewhere has claimed is waited for, but not for long.

A commit is for several groups at once, and a connection that sees one group's rows could make none: so it is made over
connections with our own rights. Each event carries the group that its caller acts for; nothing is read but schemas and ids of
those groups.

A caller that goes away before its answer changes nothing: its event is committed with the others.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import msgspec

from tidings.core.by_group import ByGroup
from tidings.core.errors import BusyError, UnavailableError
from tidings.core.event import Event
from tidings.sources.publish import Draft, Published, answer_again, check, event_of, refused_by_schema
from tidings.store import event_types, outbox
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.store.event_types import Schema, TypeKey
from tidings.store.storage import event_bytes

logger = logging.getLogger("tidings.publish")

COMMITS_AT_ONCE = 2  # while one waits for the disk, the next is on its way
MAX_EVENTS = 500  # of one commit
MAX_BYTES = 4_194_304  # of data in one commit; an event that has more is committed alone
MAX_WAITING = 5_000  # calls
MAX_WAITING_BYTES = 67_108_864  # of their data
GROUP_PART = 0.5  # of both: what the calls of one group may have
MAX_SCHEMAS = MAX_EVENTS  # remembered; as many as one commit can need
MAX_LOOKS = 5  # at schemas that change again and again while a commit is made
LOCK_TIMEOUT = "200ms"  # for an id that another transaction has claimed
STATEMENT_TIMEOUT = 10.0  # seconds
ONE_BY_ONE_SECONDS = 2.0  # for a commit that was refused; calls that are left then are told to come again
CLOSE_SECONDS = 5.0  # for commits under way

_UNKNOWN = (
    "The database went away while the event was being committed, and whether it was is not known. Publish it again: with an id "
    "of yours, that can do no harm."
)


class _Call(msgspec.Struct, frozen=True):
    """One who waits for an event to be committed."""

    draft: Draft
    event: Event
    future: asyncio.Future[Published]
    is_counted: bool = False

    def answer(self, answer: Published | Exception) -> None:
        """Answer, unless that was done before, or nobody waits any more."""
        if self.future.done():
            return
        if isinstance(answer, Published):
            self.future.set_result(answer)
        else:
            self.future.set_exception(answer)


class Schemas:
    """Schemas of event types that were needed last. They need not be in force: a commit finds out, and asks anew."""

    def __init__(self) -> None:
        self._known: dict[TypeKey, Schema] = {}  # the one that was used last stands last

    def __len__(self) -> int:
        return len(self._known)

    def of(self, types: Collection[TypeKey]) -> dict[TypeKey, Schema | None]:
        """Return the schema of each of the types, as far as it is remembered."""
        found = {key: self._known.pop(key, None) for key in types}
        self._known |= {key: schema for key, schema in found.items() if schema is not None}
        return found

    def learn(self, types: Collection[TypeKey], schemas: Mapping[TypeKey, Schema]) -> None:
        """Remember the schemas of these types, those that are missing as none."""
        for key in types:
            self._known.pop(key, None)
        self._known |= schemas
        while len(self._known) > MAX_SCHEMAS:
            del self._known[next(iter(self._known))]


class Publisher:
    """Commits what is published, together with what others publish at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._schemas = Schemas()
        self._waiting: ByGroup[_Call] = ByGroup()
        self._waiting_bytes = 0
        self._bytes_of: Counter[str] = Counter()  # of each group, of those
        self._commits: set[asyncio.Task[None]] = set()
        self._idle: list[Connection] = []

    async def publish(
        self, group_id: str, draft: Draft, now: datetime, *, is_counted: bool = False, traceparent: str | None = None
    ) -> Published:
        """Publish an event; when this returns, it is committed.

        Args:
            is_counted: Its bytes are counted in the same commit, since its group has limits; else where it is routed.
            traceparent: The trace that it belongs to.

        Raises:
            InvalidInputError: It cannot be accepted.
            ConflictError: Its id stands for an event with other content.
            BusyError: Too many calls wait already, or another transaction is publishing the same id. Nothing was published.
            UnavailableError: The database went away. Whether the event was committed is not known.
        """
        if not self._has_room(group_id, draft.size):
            raise BusyError("Too many events wait to be committed. Publish again in a moment, or many at once as a batch.")
        check(draft)
        call = _Call(draft, event_of(group_id, draft, now, traceparent), asyncio.get_running_loop().create_future(), is_counted)
        self._waiting.append(group_id, call)
        self._waiting_bytes += draft.size
        self._bytes_of[group_id] += draft.size
        if len(self._commits) < COMMITS_AT_ONCE:
            task = asyncio.create_task(self._commit_waiting(), name="commit")
            self._commits.add(task)
            task.add_done_callback(self._commits.discard)
        return await call.future

    def _has_room(self, group_id: str, size: int) -> bool:
        of_group = self._waiting.count(group_id)
        return (
            len(self._waiting) < MAX_WAITING
            and of_group < MAX_WAITING * GROUP_PART
            and self._waiting_bytes + size <= MAX_WAITING_BYTES
            and (not of_group or self._bytes_of[group_id] + size <= MAX_WAITING_BYTES * GROUP_PART)
        )

    async def close(self) -> None:
        """Finish the commits under way, and close the connections. Calls that still wait are answered with UnavailableError."""
        if self._commits:
            _, late = await asyncio.wait(self._commits, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
        while self._waiting:
            self._waiting.popleft().answer(UnavailableError(_UNKNOWN))
        while self._idle:
            self._idle.pop().terminate()

    async def _commit_waiting(self) -> None:
        while self._waiting:
            calls = self._take()
            try:
                await self._commit(calls)
            except UNAVAILABLE as error:
                self._database.outages.failed(error)
                logger.debug("database unavailable, %d calls fail: %s", len(calls), str(error) or type(error).__name__)
            except Exception:
                logger.exception("%d calls fail", len(calls))
            finally:
                for call in calls:
                    call.answer(UnavailableError(_UNKNOWN))  # unless it was answered before

    def _take(self) -> list[_Call]:
        """Take the calls of the next commit out of those that wait, by turns of the groups, and of each the oldest first."""
        calls: list[_Call] = []
        size = 0
        while self._waiting and len(calls) < MAX_EVENTS:
            size += self._waiting.first.draft.size
            if calls and size > MAX_BYTES:
                break
            calls.append(self._waiting.popleft())
            group_id, size_of_call = calls[-1].event.group_id, calls[-1].draft.size
            self._waiting_bytes -= size_of_call
            self._bytes_of[group_id] -= size_of_call
            if not self._waiting.count(group_id):
                del self._bytes_of[group_id]
        return calls

    async def _commit(self, calls: Sequence[_Call]) -> None:
        """Commit what calls are about, and answer each."""
        async with self._connection() as connection:
            try:
                with self._database.server.noting():
                    known = await self._write(connection, calls)
            except UNAVAILABLE:
                raise
            except asyncpg.PostgresError as error:
                logger.info("a commit of %d events is refused, so they are tried one by one: %s", len(calls), error)
                known = await self._write_one_by_one(connection, calls)
            self._database.outages.worked()
            await _answer_known(connection, known)

    async def _write_one_by_one(self, connection: Connection, calls: Sequence[_Call]) -> list[_Call]:
        loop = asyncio.get_running_loop()
        until = loop.time() + ONE_BY_ONE_SECONDS
        known: list[_Call] = []
        for call in calls:
            if loop.time() > until:
                call.answer(BusyError("Other events held up this one too long. Publish it again in a moment."))
                continue
            try:
                with self._database.server.noting():
                    known += await self._write(connection, [call])
            except UNAVAILABLE:
                raise
            except COLLISIONS:
                call.answer(BusyError("Another transaction is in the way; it may be publishing the same id. Try again."))
            except asyncpg.PostgresError as error:
                call.answer(error)
        return known

    async def _write(self, connection: Connection, calls: Sequence[_Call]) -> list[_Call]:
        """Commit events by one statement, checked by the schemas in force, and answer; return the calls whose ids are known.

        Raises:
            asyncpg.PostgresError: PostgreSQL refuses it, and nothing was written.
        """
        events = {position: call.event for position, call in enumerate(calls)}
        types = {(event.group_id, event.type) for event in events.values()}
        for _ in range(MAX_LOOKS):
            schemas = self._schemas.of(types)
            refused = refused_by_schema(events, schemas)
            fit = [call for position, call in enumerate(calls) if position not in refused]
            digests = [call.draft.digest if call.draft.external_id is not None else None for call in fit]
            done = await outbox.commit(connection, [call.event for call in fit], digests, schemas, _sizes(fit))
            if not done.stale:
                break
            self._schemas.learn(done.stale, await event_types.schemas(connection, done.stale))
        else:
            for call in calls:
                call.answer(BusyError("The schemas of event types are changing. Publish again in a moment."))
            return []
        for position, error in refused.items():
            calls[position].answer(error)
        known = set(done.known)
        for position, call in enumerate(fit):
            if position not in known:
                call.answer(Published(call.event.id, duplicate=False))
        return [fit[position] for position in known]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Lend a connection that is kept for commits: one of the pool would cost a journey more to give back."""
        connection = None
        while self._idle and (connection is None or connection.is_closed()):
            connection = self._idle.pop()
        if connection is None or connection.is_closed():
            connection = await self._database.dedicated(command_timeout=STATEMENT_TIMEOUT, lock_timeout=LOCK_TIMEOUT)
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
        self._idle.append(connection)


def _sizes(calls: Sequence[_Call]) -> list[int | None] | None:
    """Return the bytes of each event that is counted as it is committed; None: none is."""
    if not any(call.is_counted for call in calls):
        return None
    return [event_bytes(call.event) if call.is_counted else None for call in calls]


async def _answer_known(connection: Connection, calls: Sequence[_Call]) -> None:
    """Answer calls whose ids were known."""
    found = await outbox.find_external_ids(connection, [(call.event.group_id, call.event.external_id or "") for call in calls])
    for call in calls:
        before = found.get((call.event.group_id, call.event.external_id or ""))
        forgotten = BusyError("The id was known, and forgotten this moment. Publish again.")
        call.answer(forgotten if before is None else answer_again(call.draft, *before))
