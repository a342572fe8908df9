"""One box for everything: what a text that somebody has at hand may name."""

import re
from collections.abc import Sequence
from uuid import UUID

import msgspec

from tidings.core.event import about_hash
from tidings.core.question import MAX_TEXT_LENGTH, MIN_TEXT_LENGTH, Question
from tidings.operations.history import deliveries, events
from tidings.operations.history.deliveries import Delivery
from tidings.operations.history.events import RecordedEvent
from tidings.operations.history.search import Asked, Paging
from tidings.operations.services import Services
from tidings.operations.webhooks import naming
from tidings.operations.webhooks.naming import Named
from tidings.store import capture, collections, search, webhooks
from tidings.store.database import Connection

MAX_SHOWN = 8  # of each kind
MAX_TABLES = 50  # in which a bare id of a record is looked for, and as many collections

_RECORD = re.compile(r"([\w.-]{1,128})[ /#:=]+(\S{1,200})")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a text may name.

    Attributes:
        delivery, event, webhook: That have it as their id; an event also as its publisher's.
        webhooks: That have it in their name or URL.
        kinds: Types of events that begin so.
        events: About a record with this id.
        deliveries: Of events that have it in their payload; looked for when nothing else was found.
        searched_everything: The payloads were looked through to the end.
    """

    delivery: UUID | None = None
    event: UUID | None = None
    webhook: UUID | None = None
    webhooks: Sequence[Named] = ()
    kinds: Sequence[str] = ()
    events: Sequence[RecordedEvent] = ()
    deliveries: Sequence[Delivery] = ()
    searched_everything: bool = True

    @property
    def is_id(self) -> bool:
        """Whether something has it as its id."""
        return any(one is not None for one in (self.delivery, self.event, self.webhook))

    @property
    def is_nothing(self) -> bool:
        """Whether nothing has it."""
        return not (self.is_id or self.webhooks or self.kinds or self.events or self.deliveries)


async def look(services: Services, text: str) -> Found:
    """Return what a text may name: an id, a webhook, a type, a record; when it names none, what has it in its payload."""
    if not text or "\x00" in text:
        return Found()
    found = await _by_key(services, text)
    if found.is_id:
        return found
    found = msgspec.structs.replace(found, webhooks=await naming.named(services, text, limit=MAX_SHOWN))
    if not found.is_nothing or not MIN_TEXT_LENGTH <= len(text) <= MAX_TEXT_LENGTH:
        return found
    asked = Asked(Question(group_id=services.group_id, text=text))
    came = await deliveries.find(services, asked, Paging(limit=MAX_SHOWN, offset=0, cursor=None, count=False))
    return Found(deliveries=came.items, searched_everything=came.result.page.searched_to is None)


async def _by_key(services: Services, text: str) -> Found:
    async with services.database.snapshot() as connection:
        known = await _by_id(services, connection, text)
        if known.is_id:
            return known
        kinds = await search.kinds(connection, services.group_id, MAX_SHOWN, family=text.removesuffix("*"))
        ids = await _of_record(connection, services.group_id, text)
        rows = await search.events(connection, services.group_id, ids)
    return Found(kinds=kinds, events=[events.recorded(row) for row in rows])


async def _by_id(services: Services, connection: Connection, text: str) -> Found:
    event = await search.event_of_external_id(connection, services.group_id, text)
    if event is not None:
        return Found(event=event)
    try:
        id_ = UUID(text)
    except ValueError:
        return Found()
    if await search.deliveries(connection, services.group_id, [id_]):
        return Found(delivery=id_)
    if await search.events(connection, services.group_id, [id_]):
        return Found(event=id_)
    webhook = await webhooks.get_webhook(connection, services.group_id, id_)
    return Found(webhook=None if webhook is None else id_)


async def _of_record(connection: Connection, group_id: str, text: str) -> list[UUID]:
    """Return the newest events about the record that a text names: `orders 17`, or the id alone, in every table we hear of."""
    named = _RECORD.fullmatch(text)
    if named:
        pairs = [(named[1].rpartition(".")[2], named[2])]
    elif re.search(r"\s", text) or len(text) > MAX_TEXT_LENGTH:
        return []
    else:
        captured = sorted(table for _, table in await capture.captured_tables(connection))[:MAX_TABLES]
        made = await collections.list_collections(connection, group_id, limit=MAX_TABLES, offset=0)
        pairs = [(name, text) for name in dict.fromkeys([*captured, *(one.name for one in made)])]
    return await search.events_about_any(connection, group_id, [about_hash(group_id, *pair) for pair in pairs], MAX_SHOWN)
