"""The routes this process works with, kept as new as the database's."""

from tidings.core.routing import Routes
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
