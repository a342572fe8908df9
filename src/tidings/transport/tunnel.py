"""Going out by a forward proxy: a connection to it, and through it where TLS is spoken."""

import asyncio
import socket

from tidings.core.outcome import EXHAUSTED, Timings
from tidings.core.proxy import MAX_HEAD, Proxy, refusal_in
from tidings.core.target import Target
from tidings.transport.failing import OpeningError


def away(proxy: Proxy, error: OpeningError) -> OpeningError:
    """Return that the proxy itself cannot be reached, which is no failure of the receiver."""
    return OpeningError(
        EXHAUSTED, f"The proxy {proxy.host} port {proxy.port}, by which this installation goes out, is away. {error.error}"
    )


async def dig(proxy: Proxy, connected: socket.socket, target: Target, limit: float, timings: Timings) -> None:
    """Ask a proxy for a tunnel. Nothing of what comes through it has been read afterwards.

    Raises:
        OpeningError: There is none in time.
    """
    loop = asyncio.get_running_loop()
    head = b""
    try:
        async with asyncio.timeout(limit):
            await loop.sock_sendall(connected, proxy.connect_request(target))
            while b"\r\n\r\n" not in head and len(head) <= MAX_HEAD:
                data = await loop.sock_recv(connected, MAX_HEAD)
                if not data:
                    raise OpeningError("proxy", f"The proxy hung up when it was asked for {target.host}.", timings)
                head += data
    except TimeoutError:
        sentence = f"The proxy did not reach {target.host} port {target.port} within {limit:.3g} s."
        raise OpeningError("proxy", sentence, timings) from None
    except OSError as error:
        sentence = f"The proxy broke the connection when it was asked for {target.host} ({error.strerror or error})."
        raise OpeningError("proxy", sentence, timings) from error
    if (refusal := refusal_in(head, target)) is not None:
        raise OpeningError(*refusal, timings)
    if not head.endswith(b"\r\n\r\n"):  # in TLS the client speaks first
        raise OpeningError("proxy", "The proxy said something in the tunnel before anybody had asked.", timings)
