"""What a customer is told of how an installation is made: nothing. Their own URLs and data stay as they are."""

import re

_ADDRESS = r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)(?:%\w+)?"
# The sentences of the transport that hold the address that a name stands for: of the operator's network, perhaps.
_SENTENCES = (
    (
        re.compile(rf"The address {_ADDRESS} is not public and is not called \([^)]*\)\."),
        "The address is not public and is not called.",
    ),
    (re.compile(rf"\b{_ADDRESS} port (\d{{1,5}})\b"), r"the receiver, port \1"),
)


def discreet(page: str) -> str:
    """Return a page without the addresses that our sentences about failures hold."""
    for pattern, instead in _SENTENCES:
        page = pattern.sub(instead, page)
    return page
