"""The attempts of a delivery, each with its request, made again from what history keeps.

That is the version of the webhook, the event, the delivery and the time.

There is one way in which requests are made (`profiles.prepared`), and it is pure; so what is made again is what was sent, byte
for byte, however often the webhook was changed since, or whether it was deleted.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError, NotFoundError, RenderError, StartupError
from tidings.core.event import Event
from tidings.core.hiding import HIDDEN
from tidings.core.redaction import Redaction, kept_of_answers, read_mark
from tidings.core.signature import InstanceKeys
from tidings.core.webhook import Webhook
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.profiles import Prepared, describe, prepare
from tidings.store import history, redaction, search, signing_keys, webhook_versions
from tidings.store.database import Connection
from tidings.store.request_role import as_owner

_UNSENT = frozenset({"render", "dns", "connect", "tls", "address_refused", "lost", "token", "proxy"})

GONE = "There is no delivery {}; history is kept for the days of retention."

MAX_BODIES = 4_194_304  # bytes of bodies in one answer; those of further attempts are read one by one


class SentRequest(msgspec.Struct, frozen=True):
    """The request of an attempt as it was sent. `body` is null where those of the other attempts take all the room.

    Attributes:
        is_redacted: It is as it was sent but for what rules hide; what was signed, and its length, are hidden with it.
    """

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: str | None
    is_redacted: bool = False


class Attempt(msgspec.Struct, frozen=True):
    """One attempt. Times in milliseconds; None where a phase was not reached or not needed.

    Attributes:
        request: As it was sent; None where none was made, or what it was made from is not known.
    """

    number: int
    started_at: datetime
    response_status: int | None
    response_headers: list[tuple[str, str]]
    response_body: str | None
    is_truncated: bool
    failure: str | None
    error: str | None
    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    total_ms: float | None
    webhook_version: int | None
    request: SentRequest | None


async def list_attempts(services: Services, delivery_id: UUID, *, number: int | None = None) -> list[Attempt]:
    """Return a delivery's attempts, oldest first, each with its request as it was sent.

    Args:
        number: Only this one.

    Raises:
        NotFoundError: There is no such delivery.
    """
    async with services.database.snapshot() as connection:
        rows = await search.deliveries(connection, services.group_id, [delivery_id])
        delivery = there(next(iter(rows), None), GONE.format(delivery_id))
        made = await search.attempts(connection, delivery_id)
        wanted = [row for row in made if number is None or row["number"] == number]
        requests = await sent_requests(services, connection, delivery["webhook_id"], delivery["event_id"], wanted)
    return [_attempt(row, request) for row, request in zip(wanted, requests, strict=True)]


async def read_attempt(services: Services, delivery_id: UUID, number: int) -> Attempt:
    """Return one attempt, with its request as it was sent.

    Raises:
        NotFoundError: There is no such delivery, or no such attempt of it is recorded.
    """
    found = await list_attempts(services, delivery_id, number=number)
    return there(next(iter(found), None), f"Delivery {delivery_id} has no attempt {number} that is recorded.")


def _attempt(row: Any, request: SentRequest | None) -> Attempt:
    headers = msgspec.json.decode(row["response_headers"]) if row["response_headers"] else []
    fields = {name: row[name] for name in Attempt.__struct_fields__ if name not in {"response_headers", "request"}}
    return Attempt(**fields, response_headers=headers, request=request)


async def sent_requests(
    services: Services, connection: Connection, webhook_id: UUID, event_id: UUID, attempts: Sequence[Any]
) -> list[SentRequest | None]:
    """Return the requests of attempts of one delivery.

    Args:
        attempts: Rows with `delivery_id`, `started_at`, `webhook_version`, `signer_id`, `failure` and times.

    Returns:
        None where the attempt had no request, or what it was made from is not known: no worker lived to say, it was made before
        versions were kept, or its webhook's secret or event cannot be read.
    """
    made_with = {(row["webhook_version"], row["signer_id"]) for row in attempts if row["webhook_version"] is not None}
    if not made_with:
        return [None] * len(attempts)
    event = next(iter(await history.events_by_id(connection, [event_id])), None)
    if event is None or event.payload_gone is not None:
        return [None] * len(attempts)
    done = await redaction_for(connection, event, webhook_id)
    known = await webhook_versions.versions_of(connection, services.box, {(webhook_id, version) for version, _ in made_with})
    prepared = {}
    for version, signer_id in made_with:
        if (webhook := known.get((webhook_id, version))) is not None:
            prepared[version, signer_id] = await _prepared(services, connection, webhook, signer_id)
    room = MAX_BODIES
    found: list[SentRequest | None] = []
    for row in attempts:
        request = _sent(prepared.get((row["webhook_version"], row["signer_id"])), event, row, done)
        if request is not None and request.body is not None:
            room -= len(request.body)
            if room < 0:
                request = msgspec.structs.replace(request, body=None)
        found.append(request)
    return found


async def _prepared(services: Services, connection: Connection, webhook: Webhook, signer_id: int | None) -> Prepared | None:
    try:
        keys = await _keys(services, connection, signer_id)
        return prepare(webhook, keys)
    except (InvalidInputError, NotFoundError, StartupError):  # a secret or key that cannot be read any more
        return None


async def _keys(services: Services, connection: Connection, signer_id: int | None) -> InstanceKeys:
    current = services.keys.current
    if signer_id is None or signer_id == current.signer_id:
        return current
    async with as_owner(connection):  # keys of the installation
        return await signing_keys.load_signer(connection, services.box, signer_id)


def _sent(prepared: Prepared | None, event: Event, row: Any, done: Redaction | None) -> SentRequest | None:
    if prepared is None or not _was_sent(row, is_tls=prepared.target.is_tls):
        return None
    timestamp = int(row["started_at"].timestamp())
    return shown(prepared, event, row["delivery_id"], timestamp, done, number=row["number"])


def shown(
    prepared: Prepared, event: Event, delivery_id: UUID, timestamp: int, done: Redaction | None, *, number: int = 1
) -> SentRequest | None:
    """Return a request as people may see it; None where none can be made.

    Args:
        event: As it is kept.
        done: What rules do to it and to its headers.
        number: Which attempt it is.
    """
    if event.payload_gone is not None:
        return None
    try:
        request = describe(prepared.write(event, delivery_id, timestamp, number=number))
        hidden = set() if done is None else set(done.headers)
        if done is not None and done.hidden:  # what a signature of what is left would be is nobody's signature
            other = describe(prepared.seal(request.body + b" ", event, delivery_id, timestamp, number=number))
            pairs = zip(request.headers, other.headers, strict=True)
            hidden |= {name.lower() for (name, value), (_, changed) in pairs if value != changed}
    except RenderError:
        return None
    headers = [(name, HIDDEN if name.lower() in hidden else value) for name, value in request.headers]
    is_redacted = (done is not None and bool(done.hidden)) or headers != request.headers
    return SentRequest(request.method, prepared.webhook.url, headers, request.body.decode("utf-8", "replace"), is_redacted)


async def redaction_for(connection: Connection, event: Event, webhook_id: UUID) -> Redaction | None:
    """Return what rules do to an event and to the headers of its requests to a webhook."""
    rules = (await redaction.rules_of(connection, [event.group_id])).get(event.group_id, ())
    return kept_of_answers(read_mark(event.redaction), rules, event.type, webhook_id)


def _was_sent(row: Any, *, is_tls: bool) -> bool:
    """Tell whether an attempt came as far as its request: a connection that was opened for it was ready."""
    if row["failure"] in _UNSENT:
        return False
    was_opened = row["dns_ms"] is not None  # else it was kept alive
    return not was_opened or (row["connect_ms"] is not None and (row["tls_ms"] is not None or not is_tls))
