"""Networks and ports, as settings write them, and which addresses are public.

The ranges are written out here and not asked of `ipaddress.is_global`, whose answers differ between releases of Python.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from tidings.core.errors import InvalidInputError

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Span = tuple[int, int]  # of ports, both ends among them

EVERYTHING: Final[tuple[Network, ...]] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
MAX_ENTRIES: Final = 1000  # of one list

# IANA IPv4 Special-Purpose Address Registry, and multicast.
_REFUSED_V4 = tuple(map(IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
    # Azure's platform, reachable from its machines alone, though the number is one of the public ones.
    "168.63.129.16/32",
)))  # fmt: skip
# IANA IPv6 Global Unicast Address Assignments: all of it is in here; the special purposes inside are taken out.
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the well-known prefix carries a public IPv4 address

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)


def read_address(text: str) -> Address | None:
    """Return an address, which may have a zone index; None when the text is none."""
    try:
        return ip_address(text.split("%", 1)[0])
    except ValueError:
        return None


def unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def is_public(address: Address) -> bool:
    """Whether an address, unwrapped, is globally routable unicast."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)


def parse_networks(entries: Iterable[str], field: str) -> tuple[Network, ...]:
    """Read networks in CIDR form; `all` stands for every one.

    Raises:
        InvalidInputError: An entry is not a network, or there are too many.
    """
    wanted = [entry.strip() for entry in entries if entry.strip()]
    if wanted == ["all"]:
        return EVERYTHING
    _bound(wanted, field)
    try:
        return tuple(map(ip_network, wanted))
    except ValueError as error:
        raise InvalidInputError(
            field, f"{field} cannot be read: {error}. Write networks such as 10.0.0.0/8,192.168.1.0/24, or all."
        ) from error


def parse_ports(entries: Iterable[str], field: str) -> tuple[Span, ...]:
    """Read ports, each alone or as a range such as `8000-8999`.

    Raises:
        InvalidInputError: An entry is neither, or there are too many.
    """
    wanted = [entry.strip() for entry in entries if entry.strip()]
    _bound(wanted, field)
    return tuple(_span(entry, field) for entry in wanted)


def _span(entry: str, field: str) -> Span:
    found = _PORTS.fullmatch(entry)
    low, high = (0, 0) if found is None else (int(found[1]), int(found[2] or found[1]))
    if not 1 <= low <= high <= 65535:
        raise InvalidInputError(field, f"{field} names {entry[:40]!r}; write ports such as 443 or 8000-8999.")
    return low, high


def _bound(wanted: list[str], field: str) -> None:
    if len(wanted) > MAX_ENTRIES:
        raise InvalidInputError(field, f"{field} has {len(wanted)} entries; write at most {MAX_ENTRIES}.")


def told_ports(spans: Iterable[Span]) -> list[str]:
    """Return ports as they are written."""
    return [str(low) if low == high else f"{low}-{high}" for low, high in spans]
