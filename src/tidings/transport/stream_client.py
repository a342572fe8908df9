"""nats-py's client, but for two ends of it that break on what it has cancelled itself, and one that says too much."""

import asyncio
from contextlib import suppress

from nats.aio.client import Client
from nats.errors import Error as NatsError


class MendedClient(Client):
    """Goes on where the library meets a future of its own that nobody waits for any more.

    An answer to a ping that was given up ended the task that reads, and nothing was heard until the connection counted as
    stale, minutes later; a reconnection that another had overtaken told of itself as an error that nobody had made.

    And to it `tls://` is no wish: the library goes on in the clear with a server that does not ask for TLS.
    """

    def _connect_command(self) -> bytes:
        """Return what signs in: nothing, where it would be read by whoever listens."""
        is_wanted = self._current_server is not None and self._current_server.uri.scheme == "tls"
        transport = self._transport._io_writer.transport  # type: ignore[union-attr]  # noqa: SLF001 - nothing else leads there
        if is_wanted and transport.get_extra_info("ssl_object") is None:
            raise NatsError("the server does not speak TLS, and tls:// asks for it")
        return bytes(super()._connect_command())

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs.pop(0)
            self._pings_outstanding = 0
            return
        await super()._process_pong()

    async def _attempt_reconnect(self) -> None:
        with suppress(asyncio.InvalidStateError):  # of its last statement, when all is done
            await super()._attempt_reconnect()
