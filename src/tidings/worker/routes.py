"""The subscriptions this process works with, kept as new as the database's.

The index of who wants what is held whole, the webhooks themselves only as far as they are used: secrets are opened when
something is to be sent. Every change of a webhook has a version (`tidings.webhook_changes`). Work is read from the database
together with the newest version; what changed behind the version that is held here is then read first, and nothing else. Only
after a failover all is read anew: the newest version may be lower than before, and mean other changes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any
from uuid import UUID

from tidings.clock import Clock
from tidings.core.routing import Routes
from tidings.core.webhook import Webhook
from tidings.store import webhooks
from tidings.store.database import Connection, Server
from tidings.store.secrets import SecretBox
from tidings.store.webhook_rows import read_route
from tidings.worker import warnings

logger = logging.getLogger("tidings.routes")

PAGE = 1000  # rows read at a time; the event loop is held for some 10 ms by that many
MAX_WEBHOOKS = 10_000  # kept ready to be sent with, some 2 KB each
MAX_TOLD = 10  # faults of one page that have a line each in the log

_FIRST = UUID(int=0)
_Fault = tuple[UUID, int, str]


class CurrentRoutes:
    """Holds the subscriptions. Dispatcher and deliverer refresh it inside their own transactions."""

    def __init__(self, box: SecretBox, clock: Clock, *, server: Server | None = None, max_webhooks: int = MAX_WEBHOOKS) -> None:
        """Hold none yet.

        Args:
            server: Knows of failovers; None: there are none.
        """
        self._box = box
        self._clock = clock
        self._server = server or Server()
        self._failovers = self._server.failovers
        self._max_webhooks = max_webhooks
        self._webhooks: dict[UUID, Webhook] = {}  # in the order of their last use
        self._unread: deque[UUID] | None = None  # of those that are to be at hand; None: none need be
        self._refreshing = asyncio.Lock()
        self.current = Routes()

    async def at_least(self, connection: Connection, version: int) -> Routes:
        """Return the subscriptions, no older than a version that was read beside the work they are for.

        The index is brought up to date in place, so it may be newer when it is looked at later.
        """
        if self.current.version < version or self._failovers != self._server.failovers:
            faults: list[_Fault] = []
            async with self._refreshing:
                seen = self._server.failovers
                if self._failovers != seen:
                    await self._load(connection, faults)
                    self._failovers = seen
                elif self.current.version < version and not await self._apply_changes(connection, version, faults):
                    await self._load(connection, faults)
            # Not while others wait for the refresh: it wants the locks of lanes, and they may hold them.
            for begin in range(0, len(faults), PAGE):
                await self._set_aside(connection, faults[begin : begin + PAGE])
        return self.current

    async def webhooks(self, connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Webhook]:
        """Return webhooks with their secrets, as of the version of `current` or newer.

        Those that are deleted are left out, and those that cannot be read: they are set aside, in the caller's transaction.
        """
        found: dict[UUID, Webhook] = {}
        missing: list[UUID] = []
        for webhook_id in ids:
            webhook = self._webhooks.pop(webhook_id, None)
            if webhook is None:
                missing.append(webhook_id)
            else:
                self._webhooks[webhook_id] = found[webhook_id] = webhook
        if missing:
            version = self.current.version
            read = await webhooks.webhooks_by_id(connection, self._box, missing)
            loaded = {webhook.id: webhook for webhook in read if isinstance(webhook, Webhook)}
            if self.current.version == version:  # else it may be older by now than what the changes have told
                self._webhooks |= loaded
                while len(self._webhooks) > self._max_webhooks:
                    del self._webhooks[next(iter(self._webhooks))]
            await self._set_aside(connection, [(w.id, w.version, w.fault) for w in read if w.fault is not None])
            found |= loaded
        return found

    def at_hand(self, webhook_id: UUID) -> Webhook | None:
        """Return a webhook with its secrets, as it was known last, without asking the database; None: it is not at hand."""
        return self._webhooks.get(webhook_id)

    async def read_ahead(self, connection: Connection) -> None:
        """Have some more webhooks at hand that were not used yet, up to as many as are kept: for when the database is away."""
        if self._unread is None:
            self._unread = self._first_ids()
        page, version = [self._unread.popleft() for _ in range(min(PAGE, len(self._unread)))], self.current.version
        is_read = False
        try:
            await self.webhooks(connection, [webhook_id for webhook_id in page if webhook_id not in self._webhooks])
            is_read = self.current.version == version
        finally:
            if not is_read:  # the database went, or subscriptions have changed meanwhile
                self._unread.extend(page)

    def _first_ids(self) -> deque[UUID]:
        return deque(islice(self.current.ids, self._max_webhooks), self._max_webhooks)

    async def _apply_changes(self, connection: Connection, version: int, faults: list[_Fault]) -> bool:
        """Apply the changes behind the present version, and tell whether they are all still known."""
        routes = self.current
        while routes.version < version:
            rows = await webhooks.changes_after(connection, routes.version, PAGE)
            expected = range(routes.version + 1, routes.version + 1 + len(rows))
            if not rows or any(row["routes_version"] != number for row, number in zip(rows, expected, strict=True)):
                return False
            for row in rows:
                self._webhooks.pop(row["id"], None)
                if self._unread is not None:
                    self._unread.append(row["id"])
            faults += _put(routes, {row["id"]: row for row in rows}.values())
            routes.version = rows[-1]["routes_version"]  # with the rest of it, before anything is waited for
        return True

    async def _load(self, connection: Connection, faults: list[_Fault]) -> None:
        """Read everything anew. The version is read first: what changes meanwhile is applied behind it."""
        routes, last = Routes(await webhooks.routes_version(connection)), _FIRST
        while rows := await webhooks.routes_after(connection, last, PAGE):
            faults += _put(routes, rows)
            last = rows[-1]["id"]
        self.current, self._webhooks = routes, {}
        if self._unread is not None:
            self._unread = self._first_ids()
        logger.info("the subscriptions of %d webhooks are loaded", len(routes))

    async def _set_aside(self, connection: Connection, faults: list[_Fault]) -> None:
        """Set webhooks aside, and tell of those that were not before: in the log, and whoever wants to hear of it."""
        if not faults:
            return
        told = {webhook_id: fault for webhook_id, _, fault in faults}
        async with connection.transaction():  # at the start there is none around it
            new = await webhooks.set_aside(connection, faults)
            await warnings.tell_of_disabled(connection, {webhook_id: told[webhook_id] for webhook_id in new}, self._clock.now())
        for webhook_id in new[:MAX_TOLD]:
            logger.error("webhook %s: %s", webhook_id, told[webhook_id])
        if len(new) > MAX_TOLD:
            logger.error("%d more webhooks are set aside; `fault` says why", len(new) - MAX_TOLD)


def _put(routes: Routes, rows: Iterable[Any]) -> list[_Fault]:
    """Bring routes up to date with rows, and return those that cannot be read."""
    faults = []
    for row in rows:
        if row["profile"] is None:
            routes.drop(row["id"])
            continue
        route, fault = read_route(row)
        routes.put(row["id"], route)
        if fault is not None:
            faults.append((row["id"], row["version"], fault))
    return faults
