"""Which addresses a webhook may reach.

The problem: a webhook's URL is written by a customer, and the request is made from inside the operator's network. The
naive way, looking at the URL when it is saved, is beaten by a name that resolves to something else later (rebinding) and by
addresses that are written as other addresses (::ffff:127.0.0.1, 6to4, NAT64). Our rule: every address is judged as the
number the connection is made to, at the time it is made, after unwrapping; only globally routable unicast passes, and
whatever the operator allows. The ranges are written out here and not asked of `ipaddress.is_global`, whose answers differ
between releases of Python. What must stay in step: `sender` connects to the very address judged here.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from tidings.config import Network

ALLOWING = "TIDINGS_ALLOW_PRIVATE_NETWORKS names networks that may be"

Address = IPv4Address | IPv6Address

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

# Names that mean this machine or its cloud's metadata whatever DNS says (facts of seed 004's system).
_REFUSED_NAMES = (
    "localhost", "ip6-localhost", "ip6-loopback", "metadata", "metadata.google.internal", "instance-data",
    "kubernetes.default", "kubernetes.default.svc",
)  # fmt: skip

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def refusal_of_name(host: str, allowed: tuple[Network, ...]) -> str | None:
    """Return why a host name may not be called whatever it resolves to, or None.

    Where the operator allows private networks the name is not judged: its address is. What ends in a number is no name
    (WHATWG URL, section 3.5, "ends in a number"): some programs read 0x7f.1 as 127.0.0.1, and some 0177.0.0.1 as 177.0.0.1.
    """
    name = host.lower().rstrip(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]) and not _is_address(host):
        return f"The host {host} is a number in an unusual spelling and is not called. Write the address as four numbers."
    if allowed or not any(name == refused or name.endswith("." + refused) for refused in _REFUSED_NAMES):
        return None
    return f"The host {host} is internal and is not called."


def refusal_of_address(text: str, allowed: tuple[Network, ...], *, is_plain: bool = False) -> str | None:
    """Return why an IP address may not be called, or None.

    Args:
        text: As `getaddrinfo` gives it, perhaps with a zone index.
        allowed: Networks that may be called although they are not public.
        is_plain: The request would go unencrypted, which only `allowed` may.
    """
    address = _unwrap(ip_address(text.split("%", 1)[0]))
    if any(address in network for network in allowed):
        return None
    if not _is_public(address):
        return f"The address {text} is not public and is not called ({ALLOWING})."
    if is_plain:
        return f"The address {text} is not called over http://. Use https:// (TIDINGS_ALLOW_HTTP=true allows http everywhere)."
    return None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _unwrap(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)
