"""What a customer is told of how an installation is made: nothing. Their own URLs and data stay as they are."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from tidings.profiles import PROFILES

# The sentences of the transport that hold the address that a name stands for: of the operator's network, perhaps. What may be
# an address is bounded: pages hold what senders make up, and a pattern that looks far ahead from each place would never end.
_ADDRESS = r"(?<![0-9A-Fa-f:.])([0-9A-Fa-f:.]{2,45})(?:%\w{1,15})?"
_REFUSED = re.compile(rf"The address {_ADDRESS} is not public and is not called(?: \([^()]{{0,120}}\))?")
_TOKEN = re.compile(
    r"No token could be had from [^<\"]*(?:<(?:span class=\"(?:sign|cut)\"[^>]*|/span)>[^<\"]*)*"
)  # to its node's end
_CONNECTED = re.compile(rf"{_ADDRESS} port (\d{{1,5}})\b")


NOT_SENT = "Nothing was sent to the receiver, for a reason that whoever runs this service can see."
HIDDEN = "(hidden)"
_EVERYBODYS = frozenset({"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"})


def veiled(headers: Iterable[Sequence[str]], profile: str | None) -> list[tuple[str, str]]:
    """Return the headers of a request without the values of those that the operator set: keys of theirs, perhaps.

    Args:
        profile: Whose own headers are shown; None: that is not known any more.
    """
    found = PROFILES.get(profile or "")
    return [
        (name, value if name.lower() in _EVERYBODYS or (found is not None and found.owns_header(name)) else HIDDEN)
        for name, value in headers
    ]


def discreet(page: str) -> str:
    """Return a page without the addresses that our sentences about failures hold, and without where tokens are had from.

    What such a server answered is told behind its name, in words of its own, so all of that goes, to the end of the text.
    """
    page = _TOKEN.sub(NOT_SENT, page)
    return _CONNECTED.sub(_without_address, _REFUSED.sub("The address is not public and is not called", page))


def _without_address(found: re.Match[str]) -> str:
    try:
        ip_address(found[1])
    except ValueError:
        return found[0]
    return f"the receiver, port {found[2]}"
