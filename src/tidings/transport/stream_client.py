"""nats-py's client, where it waits without a bound, breaks on what it has cancelled itself, or believes a server too much."""

import asyncio
import socket
from contextlib import suppress
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

SILENT_SECONDS: Final = 10  # for which a server may take nothing, or answer no ping, until it is left for another
CLOSING_SECONDS: Final = 3
_STATUS, _DESCRIPTION = "Status", "Description"  # as the library calls what stands in the first line of headers
_STORED_IN: Final = "Nats-Stream"  # what a server says with a message that it has stored
_TO_ACKNOWLEDGE: Final = b"$JS.ACK."  # what a subject begins with that a flight is acknowledged at


def headers_of(block: bytes) -> dict[str, str]:
    """Return what stands in headers, whatever it is, but for a status: a server writes that into the first line.

    What servers add to a message that is stored stands behind what its sender wrote, and holds.
    """
    found: dict[str, str] = {}
    for line in block.partition(b"\r\n")[2].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            found[name.strip().decode(errors="replace")] = value.strip().decode(errors="replace")
    for status in (_STATUS, _DESCRIPTION):
        found.pop(status, None)
    return found


class MendedClient(Client):
    """Goes on where the library meets a future of its own that nobody waits for any more.

    An answer to a ping that was given up ended the task that reads, and nothing was heard until the connection counted as
    stale, minutes later; a reconnection that another had overtaken told of itself as an error that nobody had made.

    And to it `tls://` is no wish: the library goes on in the clear with a server that does not ask for TLS.

    What stands in a message's headers it believes, whoever wrote it, or it breaks on it. Who may send flights could so have a
    home take one for word of the server that there is none, or hear nothing more, for as long as that flight waits.
    """

    def leave_when_silent(self) -> None:
        """Have the system break a connection by which nothing can be sent, so that another server is turned to.

        The library waits without a bound until what it has sent is taken, and a server that is frozen takes nothing.
        """
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            sock = self._wire().get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_SECONDS * 1000)

    async def end(self) -> None:
        """Close the connection, or drop it when a server does not take what is left to be sent."""
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self.close()
        except TimeoutError:
            self._wire().abort()

    def _wire(self) -> Any:
        return self._transport._io_writer.transport  # type: ignore[union-attr]  # noqa: SLF001 - nothing else leads there

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs.pop(0)
            self._pings_outstanding = 0
            return
        await super()._process_pong()

    async def _attempt_reconnect(self) -> None:
        with suppress(asyncio.InvalidStateError):  # of its last statement, when all is done
            await super()._attempt_reconnect()

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """Read what stands in headers, and a server's word in their first line."""
        if not headers:
            return None
        block = bytes(headers)
        first, found = block.partition(b"\r\n")[0], headers_of(block)
        code, _, said = first.removeprefix(b"NATS/1.0").strip().partition(b" ")
        if code.isdigit():
            found[_STATUS] = code.decode()
            found[_DESCRIPTION] = said.decode(errors="replace")
        return found

    def _build_message(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None) -> Any:
        """Make a message. One that is stored, as it can be acknowledged or names its stream, is no word of a server."""
        if headers is not None and (reply.startswith(_TO_ACKNOWLEDGE) or _STORED_IN in headers):
            headers.pop(_STATUS, None)
        try:
            return super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            return None  # its subject is none of ours

    def _connect_command(self) -> bytes:
        """Return what signs in: nothing, where `tls://` was asked for and it would be read by whoever listens."""
        is_wanted = self._current_server is not None and self._current_server.uri.scheme == "tls"
        is_encrypted = self._wire().get_extra_info("ssl_object") is not None
        if is_wanted and not is_encrypted:
            raise NatsError("the server does not speak TLS, and tls:// asks for it")
        if is_encrypted:  # the library does not say so to what reads, which then has each end of a connection be warned of
            self._wire().get_protocol()._over_ssl = True  # noqa: SLF001 - nothing else leads there
        return bytes(super()._connect_command())
