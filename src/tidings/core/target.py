"""Where a request goes: a URL taken apart."""

from typing import NamedTuple
from urllib.parse import urlsplit


class Target(NamedTuple):
    """What a connection is opened to, and a kept-alive one is used again for."""

    is_tls: bool
    host: str
    port: int


def parse_target(url: str) -> Target:
    """Return where a URL points. It was checked by `core.webhook.check_url`."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    return Target(is_tls, parts.hostname or "", parts.port or (443 if is_tls else 80))


def request_head(method: str, url: str) -> str:
    """Return the request's first line and its Host field (RFC 9112, sections 3 and 3.2)."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{method} {path} HTTP/1.1\r\nhost: {parts.netloc.rpartition('@')[2]}\r\n"
