"""What a webhook can be told of: what there is to choose from when one is set up."""

import msgspec

from tidings.core.capture import TableName, TableSettings
from tidings.core.event_type import BUILT_IN
from tidings.operations.services import Services
from tidings.store import capture, collections, event_types, search
from tidings.store.request_role import as_owner

MAX_TYPES = 300
MAX_TABLES = 200
MAX_COLUMNS = 24  # of a table, to know it by
MAX_COLLECTIONS = 200


class Choices(msgspec.Struct, frozen=True):
    """What exists. Each list is bounded; what is not in it can be written by its name.

    Attributes:
        types: Of the group's catalogue, with what they mean.
        examples: Of the group's own types and those it has events of, an example as JSON text, or None.
        seen: Types that the group has events of, by our names.
        tables: With their first columns.
        collections: Their names.
        settings: Of those of the tables that are captured otherwise than whole, how.
    """

    types: dict[str, str] = {}
    examples: dict[str, str | None] = {}
    seen: frozenset[str] = frozenset()
    tables: tuple[tuple[TableName, tuple[str, ...]], ...] = ()
    collections: tuple[str, ...] = ()
    settings: dict[TableName, TableSettings] = {}


# Types of which there is one for each table are chosen by table.
_OURS = {one.name: one.description for one in BUILT_IN if "<" not in one.name}


async def read(services: Services) -> Choices:
    """Return what the group's webhooks can be told of."""
    async with services.database.snapshot() as connection:
        own = await event_types.list_types(connection, services.group_id)
        seen = await search.kinds(connection, services.group_id, MAX_TYPES)
        names = await collections.names(connection, services.group_id, MAX_COLLECTIONS)
        async with as_owner(connection):
            tables = await capture.offered_tables(connection, MAX_TABLES, MAX_COLUMNS)
            settings = await capture.settings_of(connection, [name for name, _ in tables])
    told = {row["name"]: row["description"] or "" for row in own[:MAX_TYPES]}
    examples: dict[str, str | None] = {name: None for name in seen if not name.startswith("table.")}
    examples |= {row["name"]: row["example"] for row in own[:MAX_TYPES]}
    return Choices(told | _OURS, examples, frozenset(seen), tuple(tables), tuple(names), settings)
