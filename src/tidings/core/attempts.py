"""How often one may be wrong. Kept in memory: a restart forgives, and each process counts for itself."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

MAX_ATTEMPTS = 10  # by one name in a window
WINDOW_SECONDS = 300.0
MAX_ADDRESSES = 10_000  # remembered; the one not seen for longest is forgotten first


class Attempts:
    """Counts attempts to sign in, by address or by whatever else is tried. One event loop reads and writes it."""

    def __init__(self, most: int = MAX_ATTEMPTS) -> None:
        self._most = most
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def admit(self, address: str, now: float) -> float:
        """Count an attempt, and return 0 or the seconds until the next one is looked at.

        Args:
            now: Monotonic seconds.
        """
        name = network_of(address)
        began, made = self._seen.pop(name, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, made = now, 0
        is_admitted = made < self._most
        self._seen[name] = (began, made + is_admitted)
        while len(self._seen) > MAX_ADDRESSES:
            self._seen.popitem(last=False)
        return 0.0 if is_admitted else began + WINDOW_SECONDS - now

    def take_back(self, address: str) -> None:
        """Count one attempt less: it was right."""
        name = network_of(address)
        if name in self._seen:
            began, made = self._seen[name]
            self._seen[name] = (began, max(0, made - 1))

    def forgive(self, address: str) -> None:
        """Forget an address: it knew the key."""
        self._seen.pop(network_of(address), None)


def network_of(address: str) -> str:
    """Return what counts as one: an IPv6 customer has a /64 to choose addresses from. What is no address stands for itself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:200]
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
