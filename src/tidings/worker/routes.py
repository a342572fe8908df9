"""The routes this process works with, kept as new as the database's."""

from collections.abc import Iterable
from uuid import UUID

from tidings.core.routing import Routes
from tidings.core.webhook import Webhook
from tidings.store import webhooks
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox


class CurrentRoutes:
    """Holds the subscriptions. Dispatcher and deliverer refresh it inside their own transactions."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box
        self.current = Routes((), version=-1)

    async def at_least(self, connection: Connection, version: int) -> Routes:
        """Return the subscriptions, no older than a version that was read beside the work they are for."""
        if self.current.version < version:
            self.current = await webhooks.load_routes(connection, self._box)
        return self.current

    async def webhooks(self, connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Webhook]:
        """Return the webhooks with these ids, those that can be read."""
        return {id_: self.current.by_id[id_] for id_ in ids if id_ in self.current.by_id}
