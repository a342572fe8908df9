"""Recoveries: many deliveries sent again, as one job. Count what one would send, begin it, follow it, cancel it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from tidings.core import recovery as deciding
from tidings.core.audit import Action
from tidings.core.differences import HIDDEN
from tidings.core.errors import InvalidInputError
from tidings.core.recovery import Recovery
from tidings.core.search import COUNT_BOUND, first_id
from tidings.core.webhook import Subscription
from tidings.operations import audit, lookups
from tidings.operations.history.attempts import GONE
from tidings.operations.history.search import Asked, count_matching, understood
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import recoveries, search, walks, webhooks
from tidings.store.database import Connection

MAX_IDS: Final = 1000  # deliveries that one recovery names one by one
COUNT_SECONDS: Final = 0.25  # after which deliveries that are missing are counted no further

_GONE = "There is no recovery {}; they are forgotten when history is."


class Forecast(msgspec.Struct, frozen=True):
    """What a recovery would send again, were it begun now.

    Attributes:
        again: Deliveries that are there and were not acknowledged, or as the search names them.
        is_exact: There are no more. Otherwise there are at least so many: it is not counted past 10,000, nor where a text is
            looked for.
        missing: Deliveries that never were and would be made.
    """

    again: int
    is_exact: bool
    missing: int = 0


async def begin_search(services: Services, asked: Asked, *, rate_per_second: float | None = None) -> Recovery:
    """Begin to send again what a search finds: where it names no state, what was not acknowledged.

    Args:
        asked: The question of a list of deliveries (`asking.deliveries_asked`).
        rate_per_second: How many go into the queue in a second; None: as fast as webhooks take them.

    Raises:
        ConflictError: The group has as many recoveries under way as it may have.
        InvalidInputError: With the field and the remedy.
    """
    async with services.database.transaction() as connection:
        question = await understood(services, connection, asked)
        recovery = deciding.of_search(uuid4(), question, services.clock.now(), rate_per_second=rate_per_second)
        await recoveries.begin(connection, recovery)
        await audit.note(services, connection, Action.RECOVERY_BEGAN, recovery.id, after=_told(recovery))
    return recovery


async def begin_ids(services: Services, ids: Sequence[UUID], *, rate_per_second: float | None = None) -> Recovery:
    """Begin to send deliveries again that are named one by one, whatever came of them.

    Args:
        ids: At most `MAX_IDS`; one that comes twice is sent once.

    Raises:
        ConflictError: The group has as many recoveries under way as it may have.
        InvalidInputError: They are none or too many, or one is no delivery of the group; with the field and the remedy.
    """
    if not 1 <= len(ids) <= MAX_IDS:
        raise InvalidInputError("ids", f"ids has {len(ids)} entries; write 1 to {MAX_IDS}, or a search for more.")
    async with services.database.transaction() as connection:
        known = {row["id"] for row in await search.deliveries(connection, services.group_id, ids)}
        for position, id_ in enumerate(ids):
            if id_ not in known:
                raise InvalidInputError(f"ids[{position}]", GONE.format(id_))
        now = services.clock.now()
        recovery = deciding.of_deliveries(uuid4(), services.group_id, ids, now, rate_per_second=rate_per_second)
        await recoveries.begin(connection, recovery)
        await audit.note(services, connection, Action.RECOVERY_BEGAN, recovery.id, after=_told(recovery))
    return recovery


async def begin_webhook(
    services: Services,
    webhook_id: UUID,
    since: datetime,
    until: datetime | None = None,
    *,
    missing: bool = False,
    rate_per_second: float | None = None,
) -> Recovery:
    """Begin to send a webhook all again that it did not acknowledge of the events of a time.

    Args:
        until: Not included; None, or what is in the future: until now.
        missing: Also what it would hear now and never had a delivery of: from while it was paused, disabled or not there yet.

    Raises:
        ConflictError: The webhook is disabled or set aside, or the group has as many recoveries under way as it may have.
        InvalidInputError: With the field and the remedy.
        NotFoundError: There is no such webhook.
    """
    async with services.database.transaction() as connection:
        webhook, recovery = await _of_webhook(services, connection, webhook_id, since, until, missing, rate_per_second)
        await recoveries.begin(connection, recovery)
        await audit.note(services, connection, Action.RECOVERY_BEGAN, recovery.id, webhook.name, after=_told(recovery))
    return recovery


async def count_search(services: Services, asked: Asked) -> Forecast:
    """Return what `begin_search` would send again.

    Raises:
        InvalidInputError: As `begin_search` does.
    """
    async with services.database.snapshot() as connection:
        question = await understood(services, connection, asked)
        recovery = deciding.of_search(uuid4(), question, services.clock.now())
        return Forecast(*await _count(services, connection, recovery))


async def count_webhook(
    services: Services, webhook_id: UUID, since: datetime, until: datetime | None = None, *, missing: bool = False
) -> Forecast:
    """Return what `begin_webhook` would send again.

    Raises:
        TidingsError: As `begin_webhook` does.
    """
    async with services.database.snapshot() as connection:
        webhook, recovery = await _of_webhook(services, connection, webhook_id, since, until, missing, None)
        again, is_exact = await _count(services, connection, recovery)
        if not missing:
            return Forecast(again, is_exact)
        exact_ids_from = first_id(services.installation.exact_ids_from)
        absent, is_all = await walks.count_missing(
            connection, webhook, recovery.since, recovery.until, exact_ids_from, bound=COUNT_BOUND, seconds=COUNT_SECONDS
        )
        return Forecast(again, is_exact and is_all, absent)


async def read(services: Services, recovery_id: UUID) -> Recovery:
    """Return a recovery, as far as it has come (`core.recovery.share_done`).

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        return there(await recoveries.get(connection, services.group_id, recovery_id), _GONE.format(recovery_id))


async def list_recoveries(services: Services, *, limit: int, after: UUID | None = None) -> list[Recovery]:
    """Return a page of the group's recoveries, newest first.

    Args:
        after: The last one of the page before.

    Raises:
        NotFoundError: There is no such recovery to go on from.
    """
    async with services.database.connection() as connection:
        if after is not None:
            last = await recoveries.get(connection, services.group_id, after)
            there(last, f"There is no recovery {after} to go on from.")
        return await recoveries.list_recoveries(connection, services.group_id, limit=limit, after=after)


async def cancel(services: Services, recovery_id: UUID) -> Recovery:
    """End a recovery. What it put into the queue before goes out.

    Raises:
        ConflictError: It is over.
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        ended = await recoveries.cancel(connection, services.group_id, recovery_id, services.clock.now())
        ended = there(ended, _GONE.format(recovery_id))
        states: dict[str, Any] = {"before": {"queued_count": None}, "after": {"queued_count": ended.queued_count}}
        await audit.note(services, connection, Action.RECOVERY_CANCELLED, recovery_id, **states)
        return ended


def _told(recovery: Recovery) -> dict[str, Any]:
    """Return what a recovery is asked to do, for the audit. A text that is looked for stands in records, so it is left out."""
    asked = {} if recovery.question is None else msgspec.to_builtins(recovery.question) | {"group_id": None}
    if asked.get("text") is not None:
        asked["text"] = HIDDEN
    asked = {name: value for name, value in asked.items() if value not in (None, "", [], {}, False)}
    names = ("webhook_id", "since", "until", "missing", "rate_per_second")
    return {name: getattr(recovery, name) for name in names} | {"question": asked}


async def _of_webhook(
    services: Services,
    connection: Connection,
    webhook_id: UUID,
    since: datetime,
    until: datetime | None,
    missing: bool,
    rate_per_second: float | None,
) -> tuple[Subscription, Recovery]:
    webhook = lookups.found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
    now = services.clock.now()
    recovery = deciding.of_webhook(uuid4(), webhook, since, until, now, missing=missing, rate_per_second=rate_per_second)
    return webhook, recovery


async def _count(services: Services, connection: Connection, recovery: Recovery) -> tuple[int, bool]:
    """Return how many deliveries a recovery finds, up to a bound, and whether that is all."""
    if recovery.question is None or recovery.question.text is not None:
        return 0, False
    matches, is_all = await count_matching(services, connection, recovery.question)
    return min(matches, COUNT_BOUND), is_all and matches <= COUNT_BOUND
