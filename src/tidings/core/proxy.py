"""A forward proxy: where it is, what it is told, and what its answers mean.

What a proxy answers is never what the receiver answered. One that cannot be reached, or that does not know us, is our fault: no
attempt was made. One that could not reach the receiver, or may not, has made an attempt that failed on the way.
"""

import base64
import re
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.outcome import EXHAUSTED, Exchange
from tidings.core.target import Target, is_host

MAX_HEAD: Final = 16_384  # bytes of an answer to CONNECT

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_ASKS_WHO = re.compile(rb"\r\nproxy-authenticate *:", re.IGNORECASE)
_TELLS = frozenset({"proxy-status", "x-squid-error", "x-smokescreen-error"})  # RFC 9209, and those of two well-known ones


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        authorization: Who we are to it, as a line; empty: nobody.
    """

    host: str
    port: int
    authorization: str

    def __repr__(self) -> str:
        """Show no password."""
        return f"Proxy({self.host}:{self.port})"

    @property
    def target(self) -> Target:
        """Where a connection to it is opened."""
        return Target(False, self.host, self.port)

    def connect_request(self, target: Target) -> bytes:
        """Return the request for a tunnel (RFC 9110, section 9.3.6)."""
        to = _authority(target)
        return f"CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n{self.authorization}\r\n".encode("latin-1")

    def absolute(self, target: Target, data: bytes) -> bytes:
        """Return a request as it is sent to a proxy: with the whole URL in its first line (RFC 9112, section 3.2.2)."""
        method, _, rest = data.partition(b" ")
        line, _, rest = rest.partition(b"\r\n")
        whole = f"http://{_authority(target)}".encode("latin-1")
        return b"%b %b%b\r\n%b%b" % (method, whole, line, self.authorization.encode("latin-1"), rest)


def parse_proxy(url: str) -> Proxy:
    """Read a proxy's URL.

    Raises:
        InvalidInputError: It is none. It is not told which: a password may stand in it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        host, port = "", 0
    if not (
        host and is_host(host) and parts.scheme == "http" and parts.path in {"", "/"} and not parts.query and not parts.fragment
    ):
        raise InvalidInputError(
            "proxy", "proxy must be such as http://proxy.internal:3128, with user:password@ where it wants them."
        )
    if parts.username is None:
        return Proxy(host, port, "")
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host, port, f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n")


def refusal_in(head: bytes, target: Target) -> tuple[str, str] | None:
    """Return what a proxy's answer to CONNECT means, as a failure and a sentence; None: there is a tunnel."""
    found = _STATUS.match(head)
    status = int(found[1]) if found else None
    if status is not None and 200 <= status < 300:
        return None
    if status == 407 and _ASKS_WHO.search(head):
        return EXHAUSTED, _UNKNOWN
    told = f"answered HTTP {status}" if status is not None else "answered what is no HTTP"
    return "proxy", f"The proxy {told} when it was asked for {target.host} port {target.port}. The receiver was not reached."


_UNKNOWN: Final = "The proxy that this installation goes out by does not take its user and password (TIDINGS_PROXY)."


def judged(exchange: Exchange) -> Exchange:
    """Return what came of a request that went through a proxy without a tunnel, with what the proxy said told apart.

    A receiver never says 407, and gateways alone say 502 and 504.
    """
    names = {name for name, _ in exchange.headers}
    if exchange.status == 407 and "proxy-authenticate" in names:
        return Exchange(failure=EXHAUSTED, error=_UNKNOWN, timings=exchange.timings)
    if exchange.status in {407, 502, 504} or (exchange.status is not None and exchange.status >= 400 and names & _TELLS):
        error = f"The proxy answered HTTP {exchange.status}. The receiver was not reached, or gave no answer to it."
        return msgspec.structs.replace(exchange, status=None, headers=(), body=b"", failure="proxy", error=error)
    return exchange


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"
