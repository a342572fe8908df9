"""What the answer to a call that makes or changes a webhook says of what it will not hear (`core.warned`)."""

from tidings.core.filters import TableFilter, TypeFilter
from tidings.core.near import did_you_mean
from tidings.core.warned import Warned, of_webhook
from tidings.core.webhook import Subscription
from tidings.operations.services import Services
from tidings.operations.webhooks.shapes import OURS, covers
from tidings.profiles import PROFILES
from tidings.sources.tables import TableState
from tidings.store import capture, event_types, relay, search
from tidings.store.database import Connection
from tidings.store.request_role import as_owner

MAX_TYPES = 300  # types that a group has events of; with more nobody says of a name that it is none of them


async def read(services: Services, connection: Connection, webhook: Subscription, states: list[TableState]) -> list[Warned]:
    """Return what the owner of a webhook that was just made or changed should know, in the transaction that did it."""
    tables = {(state.schema, state.table): (state.state, state.reason) for state in states}
    names = [(one.schema or "public", one.table) for one in webhook.events if isinstance(one, TableFilter) and one.table != "*"]
    settings = {}
    async with as_owner(connection):
        source = services.config.source or await relay.source(connection)
        if names:
            settings = await capture.settings_of(connection, names)
    missing = {name for name, (state, _) in tables.items() if state == "missing"} if services.are_tables_elsewhere else ()
    unknown = await _unknown(services, connection, webhook)
    return of_webhook(webhook, tables, settings, unknown, elsewhere=missing, source=source)


async def _unknown(services: Services, connection: Connection, webhook: Subscription) -> dict[str, str]:
    """Return the types and families that nothing in the group is called by, with what may be meant.

    A profile with words of its own has refused what it does not know.
    """
    profile = PROFILES.get(webhook.profile)
    if profile is None or profile.vocabulary.sent is not None:
        return {}
    asked = [one.name for one in webhook.events if isinstance(one, TypeFilter) and not _is_told_of(one.name, OURS)]
    if not asked:
        return {}
    seen = await search.kinds(connection, services.group_id, MAX_TYPES)
    own = [row["name"] for row in await event_types.list_types(connection, services.group_id)]
    if len(seen) >= MAX_TYPES:
        return {}
    known = {*seen, *own}
    return {name: did_you_mean(name, sorted(known)).strip() for name in asked if not _is_told_of(name, known)}


def _is_told_of(name: str, types: set[str] | frozenset[str]) -> bool:
    return name == "*" or name.startswith("table.") or any(covers(name, type_) for type_ in types)
