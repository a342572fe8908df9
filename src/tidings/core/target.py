"""Where a request goes: a URL taken apart."""

import re
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import urlsplit


class Target(NamedTuple):
    """What a connection is opened to, and a kept-alive one is used again for."""

    is_tls: bool
    host: str
    port: int


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
