"""History made of rows alone, without a worker: events of three days, and deliveries in every place and state."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tests.conftest import url_of
from tidings.app import opened
from tidings.config import Config
from tidings.core.delivery import State
from tidings.core.event import Event, about, delivery_id, event_id, milliseconds, table_event_type, uuid7
from tidings.core.outcome import FAILURES
from tidings.operations.services import Services

DAY = datetime(2026, 11, 18, tzinfo=UTC)  # the first of three
OLD_IDS_UNTIL = DAY + timedelta(hours=30)  # deliveries of events before have ids that tell the time alone
CROWDED_AT = DAY + timedelta(hours=50)  # more than a window holds happened in this millisecond
CROWD = 1300
PROFILES = ("standard", "vivreal-content", "fluxbase", "vski", "vivreal")

_EVENT_COLUMNS = (
    "id", "group_id", "source", "type", "operation", "subject", "table_schema", "table_name", "record", "old_record",
    "occurred_at", "external_id", "webhook_id", "capture_error", "delivery_count", "about",
)  # fmt: skip


class Past(msgspec.Struct):
    """A delivery as it should be found."""

    id: UUID
    event: Event
    webhook_id: UUID
    state: State
    attempt_count: int
    status: int | None = None
    failure: str | None = None


class History:
    """Makes events and deliveries, writes them, and remembers what there is."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.events: list[Event] = []
        self.deliveries: list[Past] = []
        self.webhooks: dict[UUID, tuple[str, str]] = {}  # group and profile
        self.gone = UUID(int=self.random.getrandbits(128))  # a webhook of the first group that was deleted
        for group, count in (("default", 6), ("acme", 3), ("zeta", 60)):
            for number in range(count):
                self.webhooks[UUID(int=self.random.getrandbits(128))] = (group, PROFILES[number % len(PROFILES)])
        self._number = 0
        self._written = (0, 0)

    def make(self, count: int) -> None:
        """Make events over the three days, most of them of the first group, each with its deliveries."""
        for _ in range(count):
            group = self.random.choices(["default", "acme", "zeta"], [8, 1, 1])[0]
            self.add(group, DAY + timedelta(seconds=self.random.random() * 3 * 86400))

    def make_crowd(self) -> None:
        """Make very many events of one millisecond."""
        for _ in range(CROWD):
            self.add("default", CROWDED_AT, "order.paid")

    def add(self, group: str, at: datetime, type_: str | None = None) -> Event:
        """Make an event and its deliveries."""
        self._number += 1
        event = self._event(group, at, type_)
        self.events.append(event)
        mine = [id_ for id_, (owner, _) in self.webhooks.items() if owner == group] + [self.gone] * (group == "default")
        for webhook in self.random.sample(mine, self.random.choice([0, 1, 1, 1, 2, 3])):
            self.deliveries.append(self._delivery(event, webhook))
        return event

    def _event(self, group: str, at: datetime, type_: str | None) -> Event:
        kind, n = self.random.randrange(10), self.random.randrange(50)
        record = f'{{"id":{n},"_id":"x","note":"Größe {self.random.choice(["Red", "green", "BLUE"])} 100%"}}'
        if type_ is None and kind < 4:
            schema, table = self.random.choice([("public", "orders"), ("sales", "orders"), ("public", "customers_2")])
            operation = self.random.choice(["INSERT", "UPDATE", "DELETE"])
            new, old = (None if operation == "DELETE" else record), (None if operation == "INSERT" else record)
            type_ = table_event_type(schema, table, operation)
            id_ = event_id(at, self._number, 12345)
            return Event(id_, group, "tables", type_, operation, f"{schema}.{table}", schema, table, new, old, at)
        id_ = uuid7(milliseconds(at), self.random.getrandbits(74))
        if type_ is None and kind == 4:
            type_ = self.random.choice(["content.created", "content.updated", "content.published"])
            return Event(id_, group, "collections", type_, "UPDATE", "c-1", "tidings_default", "posts", record, None, at)
        if type_ is None:
            names = ["order.paid", "order.refunded", "invoice.sent", "integration.updated", "cron.fired", "create"]
            type_ = self.random.choice(names)
        subject = self.random.choice([None, f"order/{n}", "sales.orders"])
        return Event(id_, group, "publish", type_, None, subject, None, None, record, None, at, f"ext-{self._number}")

    def _delivery(self, event: Event, webhook: UUID) -> Past:
        if event.occurred_at < OLD_IDS_UNTIL:
            id_ = uuid7(milliseconds(event.occurred_at), self.random.getrandbits(74))
        else:
            id_ = delivery_id(event.id, webhook)
        state = self.random.choices(list(State), [3, 1, 2, 12, 2, 1])[0]
        if webhook == self.gone and state in {State.PENDING, State.SENDING, State.RETRYING}:
            state = State.CANCELLED
        past = Past(id_, event, webhook, state, 0)
        match state:
            case State.SUCCEEDED:
                past.attempt_count, past.status = self.random.choice([1, 2]), self.random.choice([200, 204])
            case State.FAILED | State.RETRYING:
                past.attempt_count = self.random.randrange(1, 9)
                self._fail(past)
            case State.SENDING:
                past.attempt_count = self.random.choice([1, 1, 2])
                if past.attempt_count > 1:
                    self._fail(past)
        return past

    def _fail(self, past: Past) -> None:
        if self.random.random() < 0.5:
            past.failure = self.random.choice(FAILURES)
        else:
            past.status = self.random.choice([301, 404, 404, 500, 503])

    async def write(self, user: Any) -> None:
        """Write what was made since it was last written."""
        events, deliveries = self.events[self._written[0] :], self.deliveries[self._written[1] :]
        self._written = len(self.events), len(self.deliveries)
        for day in {event.occurred_at.date() for event in events}:
            await user.execute("select tidings.ensure_day($1)", day)
        await _copy(user, "events", _EVENT_COLUMNS, [_event_row(event) for event in events])
        await user.executemany(
            "insert into tidings.published (group_id, external_id, event_id, digest) values ($1, $2, $3, '')",
            [(event.group_id, event.external_id, event.id) for event in events if event.external_id is not None],
        )
        await user.execute(
            "insert into tidings.event_kinds select distinct g, t, current_date from unnest($1::text[], $2::text[]) k (g, t) on conflict do nothing",
            [event.group_id for event in events],
            [event.type for event in events],
        )
        await self._write_finished(user, [past for past in deliveries if past.state in _FINISHED])
        await self._write_waiting(user, [past for past in deliveries if past.state in {State.PENDING, State.RETRYING}])
        await self._write_flights(user, deliveries)

    async def _write_finished(self, user: Any, finished: list[Past]) -> None:
        columns = (
            "id", "webhook_id", "event_id", "group_id", "is_test", "status", "attempt_count", "last_status", "last_error", "failure",
            "finished_at", "started_at",
        )  # fmt: skip
        rows, attempts = [], []
        for past in finished:
            at = past.event.occurred_at
            is_old = at < OLD_IDS_UNTIL and past.attempt_count > 0  # as the version before wrote it
            if is_old:
                attempts.append(_attempt(past, past.attempt_count))
            started = at if past.attempt_count and not is_old else None
            rows.append((
                past.id, past.webhook_id, past.event.id, past.event.group_id, False, past.state, past.attempt_count, past.status, None,
                None if is_old else past.failure, at, started,
            ))  # fmt: skip
        await _copy(user, "deliveries", columns, rows)
        await _copy(user, "attempts", _ATTEMPT_COLUMNS, attempts)

    async def _write_waiting(self, user: Any, waiting: list[Past]) -> None:
        columns = ("id", "webhook_id", "event_id", "group_id", "due_at", "attempt_count", "last_status")
        rows = [
            (
                past.id,
                past.webhook_id,
                past.event.id,
                past.event.group_id,
                past.event.occurred_at,
                past.attempt_count,
                past.status,
            )
            for past in waiting
        ]
        await _copy(user, "queue", columns, rows)
        await _copy(
            user, "attempts", _ATTEMPT_COLUMNS, [_attempt(past, past.attempt_count) for past in waiting if past.attempt_count]
        )

    async def _write_flights(self, user: Any, deliveries: list[Past]) -> None:
        """What is under way, and among it some that were done a moment ago."""
        sending = [past for past in deliveries if past.state == State.SENDING]
        done = [past for past in deliveries if past.state in {State.SUCCEEDED, State.RETRYING}][::40]
        tried = [past for past in sending if past.attempt_count > 1]
        await _copy(user, "attempts", _ATTEMPT_COLUMNS, [_attempt(past, past.attempt_count - 1) for past in tried])
        flying = sending + done
        self.random.shuffle(flying)
        for start in range(0, len(flying), 50):
            batch = flying[start : start + 50]
            await user.execute(
                "insert into tidings.flights (worker_id, leased_at, delivery_ids, event_ids, lanes, lane_numbers, attempt_numbers) values ($1, now(), $2, $3, $4, $5, $6)",
                UUID(int=1),
                [past.id for past in batch],
                [past.event.id for past in batch],
                [past.webhook_id for past in batch],
                list(range(1, len(batch) + 1)),
                [past.attempt_count for past in batch],
            )

    async def write_webhooks(self, user: Any, secret_of: Any) -> None:
        """Write groups and webhooks."""
        for group in ("acme", "zeta"):
            await user.execute("insert into tidings.groups (id) values ($1)", group)
        for id_, (group, profile) in self.webhooks.items():
            await user.execute(
                """insert into tidings.webhooks (id, group_id, name, url, enabled, profile, events, secret, method, headers, timeout_seconds, retry,
                     created_at, updated_at)
                   values ($1, $2, 'n', 'https://receiver.example', true, $3, '["*"]', $4, 'POST', '{}', 30, '{"delays": [1]}', now(), now())""",
                id_,
                group,
                profile,
                secret_of(id_),
            )
            await user.execute("insert into tidings.lanes (webhook_id, concurrency, allowance) values ($1, 10, 10)", id_)
        await user.execute(  # what is kept of one that was deleted
            """insert into tidings.webhook_versions select (jsonb_populate_record(null::tidings.webhook_versions, to_jsonb(w)
                 || jsonb_build_object('webhook_id', $1::uuid, 'version', 1, 'superseded_at', now(), 'concurrency', 10, 'ordered', false, 'webhook_created_at', now()))).*
               from tidings.webhooks w where group_id = 'default' limit 1""",
            self.gone,
        )


_FINISHED = {State.SUCCEEDED, State.FAILED, State.CANCELLED}
_ATTEMPT_COLUMNS = ("delivery_id", "number", "started_at", "response_status", "failure")


def _attempt(past: Past, number: int) -> tuple[Any, ...]:
    return (past.id, number, past.event.occurred_at, past.status, past.failure)


def _event_row(event: Event) -> tuple[Any, ...]:
    return (
        event.id, event.group_id, event.source, event.type, event.operation, event.subject, event.table_schema, event.table_name,
        event.record, event.old_record, event.occurred_at, event.external_id, None, None, 0, about(event),
    )  # fmt: skip


async def _copy(user: Any, table: str, columns: tuple[str, ...], rows: list[Any]) -> None:
    await user.copy_records_to_table(table, schema_name="tidings", columns=columns, records=rows)


class Stage(msgspec.Struct):
    """A history in a database of its own, and the parts that answer questions about it."""

    history: History
    services: Services
    user: Any

    def of(self, group: str) -> Services:
        return msgspec.structs.replace(self.services, group_id=group)


@asynccontextmanager
async def staged(postgres: str, template: str, folder: Path, *, name: str, events: int) -> AsyncIterator[Stage]:
    """Make a database with so many events, and a crowded millisecond."""
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"create database {name} template {template}")
    url = url_of(postgres, name)
    user = await asyncpg.connect(url)
    since = str(milliseconds(OLD_IDS_UNTIL))
    await user.execute("update tidings.settings set value = $1 where name = 'delivery_ids_by_event_since'", since)
    async with opened(Config(database_url=url, data_dir=folder, secret_key="test", admin_key="test")) as services:
        history = History()
        await history.write_webhooks(user, lambda id_: services.box.seal("whsec_" + "A" * 44, id_))
        history.make(events)
        history.make_crowd()
        await history.write(user)
        await user.execute("vacuum analyze")
        yield Stage(history, services, user)
    await user.close()
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()
