"""Where a request goes: a URL taken apart."""

import re
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import urlsplit

from tidings.core.narrowing import Narrowing

# Ports of other protocols, whose servers might act on what a request says (Fetch Standard, "port blocking"); 0 is none at all.
# 1 and 9 are not here: nobody acts on what comes there, and they stand for "nowhere".
BAD_PORTS = frozenset({
    0, 7, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111,
    113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548,
    554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665,
    6666, 6667, 6668, 6669, 6679, 6697, 10080,
})  # fmt: skip


class Identity(NamedTuple):
    """Who TLS shows, and whom it believes. Texts in PEM form; an empty one: as for all.

    Attributes:
        digest: Of the rest: two that have the same are the same.
    """

    digest: bytes
    certificate: str
    key: str
    authorities: str

    def __repr__(self) -> str:
        """Show no key."""
        return f"Identity({self.digest.hex()[:12]})"


class Way:
    """What else a connection depends on than where it goes. Two that are equal may share connections.

    Attributes:
        narrowing: What its group may not call.
        identity: Its own, for TLS.
    """

    __slots__ = ("_hash", "identity", "narrowing")

    def __init__(self, narrowing: Narrowing | None = None, identity: Identity | None = None) -> None:
        self.narrowing = narrowing
        self.identity = identity
        self._hash = hash((narrowing, None if identity is None else identity.digest))  # once: it is asked for at every attempt

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Way) and (self.narrowing, self.identity) == (other.narrowing, other.identity)
        )


class Target(NamedTuple):
    """What a connection is opened to, and a kept-alive one is used again for.

    Attributes:
        by: None: as any other.
    """

    is_tls: bool
    host: str
    port: int
    by: Way | None = None


# A name's labels (RFC 1123, section 2.1, and the underscore that people use), or an IPv6 address.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
MAX_NAME_LENGTH = 253


def is_host(text: str) -> bool:
    """Whether this, a URL's host in lower case without brackets, can be a name or an address."""
    if ":" not in text:
        name = text.removesuffix(".")
        return len(name) <= MAX_NAME_LENGTH and all(map(_LABEL.fullmatch, name.split(".")))
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text  # the zone of an address means something on one machine only


def parse_target(url: str, by: Way | None = None) -> Target:
    """Return where a URL points. It was checked by `core.webhook.check_url`."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    return Target(is_tls, parts.hostname or "", (443 if is_tls else 80) if parts.port is None else parts.port, by)


def request_head(method: str, url: str) -> str:
    """Return the request's first line and its Host field (RFC 9112, sections 3 and 3.2)."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{method} {path} HTTP/1.1\r\nhost: {parts.netloc.rpartition('@')[2]}\r\n"
