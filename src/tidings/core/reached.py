"""Where this installation is reached, and who reaches it: what a request says of either, and how much of that is believed.

Anybody can write a `Host` header, and anybody can write `X-Forwarded-For`. A link that is made of the first leads customers to
whoever wrote it; a limit that counts by the second counts nobody. So links are made of what is configured, or of an address
that leads nowhere but to this very machine; and what is forwarded is believed of the proxies that the operator names, from the
last hop backwards, as far as each hop is one of these.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tidings.core.errors import ConflictError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_HOPS: Final = 20  # of X-Forwarded-For that are looked at, from the last one backwards
_SCHEMES: Final = frozenset({"http", "https"})
_HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
UNKNOWN_ADDRESS: Final = (
    "Where this installation is reached from outside is not configured, and what a browser says of it may be made up. "
    "Set TIDINGS_PUBLIC_URL, such as https://webhooks.example.com, and start it again."
)


class Peer(msgspec.Struct, frozen=True):
    """Who asks. `scheme`: as the first of the proxies was asked; empty: nobody who is believed has said."""

    address: str
    scheme: str = ""


# Where ---------------------------------------------------------------------------------------------------------------------


def is_loopback(host: str) -> bool:
    """Whether a `Host` header can mean nothing but the machine that the browser runs on."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].lower().strip("[]").removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def base_url(public_url: str | None, scheme: str, host: str) -> str | None:
    """Return where this installation is reached, without a slash at its end; None when nobody who is believed has said.

    Args:
        public_url: As configured.
        host: The `Host` header.
    """
    if public_url:
        return public_url.rstrip("/")
    return f"{scheme}://{host}" if is_loopback(host) else None


def url_as_asked(public_url: str | None, scheme: str, host: str) -> str:
    """Return where this installation is reached, as far as whoever asks knows: for their eyes alone, and no link for others.

    Who asks has come by that name. It is empty where the header is none.
    """
    if public_url:
        return public_url.rstrip("/")
    return f"{scheme}://{host}" if _HOST.fullmatch(host) else ""


def known_url(public_url: str | None, scheme: str, host: str) -> str:
    """Return where this installation is reached, for a link that somebody else is to follow.

    Raises:
        ConflictError: It is not known.
    """
    found = base_url(public_url, scheme, host)
    if found is None:
        raise ConflictError(UNKNOWN_ADDRESS)
    return found


def origin_of(url: str) -> str:
    """Return the origin of a URL as browsers write it: without a port that its scheme has anyway."""
    parts = urlsplit(url.lower())
    host, port = parts.hostname or "", parts.port
    host = f"[{host}]" if ":" in host else host
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if port in {None, usual} else f":{port}")


def is_public_host(public_url: str, host: str) -> bool:
    """Whether a `Host` header is that of the configured URL."""
    scheme = urlsplit(public_url).scheme
    try:
        return _HOST.fullmatch(host) is not None and origin_of(f"{scheme}://{host}") == origin_of(public_url)
    except ValueError:
        return False


def is_own_page(public_url: str | None, scheme: str, host: str, origin: str | None, fetch_site: str | None) -> bool:
    """Whether a browser that sends a form says that a page of ours has it do so.

    With a configured URL the page is of that very origin, or the browser runs on this machine; without one, of the address that
    was asked. A name of somebody else's that leads here is neither.

    Args:
        origin: The `Origin` header.
        fetch_site: The `Sec-Fetch-Site` header, for browsers that leave `Origin` out.
    """
    if public_url and not is_public_host(public_url, host) and not is_loopback(host):
        return False
    if origin is None:
        return fetch_site == "same-origin"
    if public_url and origin.lower() == origin_of(public_url):
        return True
    try:
        is_here = origin.lower() == origin_of(f"{scheme}://{host}")
    except ValueError:
        return False
    return is_here and (not public_url or is_loopback(host) or is_public_host(public_url, host))


# Who -----------------------------------------------------------------------------------------------------------------------


def peer_of(connected: str, forwarded_for: str, forwarded_proto: str, trusted: Sequence[Network]) -> Peer:
    """Return who asks.

    Args:
        connected: The address of the connection.
        forwarded_for: `X-Forwarded-For`, all of its lines with commas; each proxy adds the address that it was asked from.
        forwarded_proto: `X-Forwarded-Proto`, likewise.
        trusted: The networks of the proxies that are believed.
    """
    at = _address(connected)
    if at is None or not _is_within(at, trusted):
        return Peer(connected)
    found = at
    for hop in reversed(forwarded_for.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
        told = _address(hop)
        if told is None:
            break  # whoever wrote it is no further known
        found = told
        if not _is_within(told, trusted):
            break
    scheme = forwarded_proto.rpartition(",")[2].strip().lower()  # of the proxy that asked us, whom we believe
    return Peer(str(found), scheme if scheme in _SCHEMES else "")


def _address(text: str) -> Address | None:
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
