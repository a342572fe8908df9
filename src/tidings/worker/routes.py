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

    async def refresh(self, connection: Connection) -> Routes:
        """Return the subscriptions as of now, loading them only when their version has risen."""
        if await webhooks.routes_version(connection) != self.current.version:
            self.current = await webhooks.load_routes(connection, self._box)
        return self.current
