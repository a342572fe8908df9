"""How often one may be wrong, or may ask. Kept in memory: a restart forgives, and each process counts for itself."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

MAX_ATTEMPTS = 10  # by one name in a window
WINDOW_SECONDS = 300.0
MAX_ADDRESSES = 10_000  # remembered; the one not seen for longest is forgotten first
MAX_LINKS = 20  # that are none, from one address in the same window
CALLS_SECONDS = 60.0  # in which customers' calls are counted


class Attempts:
    """Counts attempts, by address or by whatever else they are made as. One event loop reads and writes it."""

    def __init__(self, most: int = MAX_ATTEMPTS, seconds: float = WINDOW_SECONDS) -> None:
        """Make one.

        Args:
            most: From one address in a window.
            seconds: How long a window is.
        """
        self._most, self._seconds = most, seconds
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def admit(self, address: str, now: float, most: int | None = None) -> float:
        """Count an attempt, and return 0 or the seconds until the next one is looked at.

        Args:
            now: Monotonic seconds.
            most: In a window, where that is not always the same.
        """
        name = network_of(address)
        began, made = self._seen.pop(name, (now, 0))
        if now - began >= self._seconds:
            began, made = now, 0
        is_admitted = made < (self._most if most is None else most)
        self._seen[name] = (began, made + is_admitted)
        while len(self._seen) > MAX_ADDRESSES:
            self._seen.popitem(last=False)
        return 0.0 if is_admitted else began + self._seconds - now

    def give_back(self, address: str) -> None:
        """Take back the last attempt of an address: it was a right one, and says nothing of those before."""
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
