"""nats-py's client, but for two ends of it that break on what it has cancelled itself."""

import asyncio
from contextlib import suppress

from nats.aio.client import Client


class MendedClient(Client):
    """Goes on where the library meets a future of its own that nobody waits for any more.

    An answer to a ping that was given up ended the task that reads, and nothing was heard until the connection counted as
    stale, minutes later; a reconnection that another had overtaken told of itself as an error that nobody had made.
    """

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs.pop(0)
            self._pings_outstanding = 0
            return
        await super()._process_pong()

    async def _attempt_reconnect(self) -> None:
        with suppress(asyncio.InvalidStateError):  # of its last statement, when all is done
            await super()._attempt_reconnect()
