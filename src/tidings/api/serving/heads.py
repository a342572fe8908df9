"""What the head of a request says, where the parser leaves it to others."""

import re
from collections.abc import Sequence
from typing import Final

from tidings.api.serving import bounds

_LENGTH_DIGITS: Final = 20  # of Content-Length: as many as llhttp reads
# RFC 9110, 7.2: uri-host [":" port], of RFC 3986; empty where the address has no host.
_HOST: Final = re.compile(rb"(\[[0-9A-Za-z:.%_~-]{2,80}\]|[0-9A-Za-z._~!$&'()*+,;=%-]{0,255})(:[0-9]{0,5})?")

Headers = Sequence[tuple[bytes, bytes]]


def declared_length(headers: Headers) -> int:
    """Return the length of the body that a head declares; 0 when it does not, or not in digits, which llhttp refuses."""
    length = next((value for name, value in headers if name == b"content-length"), b"")
    return int(length[:_LENGTH_DIGITS]) if length.isdigit() else 0


def end_of_read(data: bytes, at: int) -> int:
    """Return up to where the parser reads from `at`: behind an end of a head, so that few heads are read at a time.

    The first \\r is looked for by itself, which takes a thirtieth of the time: the bodies that fill a connection have few.
    """
    least, most = at + bounds.READ_AT_LEAST, at + bounds.READ_AT_MOST
    first = data.find(b"\r", least, most)
    end = data.find(b"\r\n\r\n", first, most) if first >= 0 else -1
    return min(len(data), most) if end < 0 else end + 4


def has_one_host(headers: Headers, version: str) -> bool:
    """Whether a head says whom it is for, as RFC 9112, 3.2 has it: two hosts are read differently by a proxy and by us."""
    hosts = [value for name, value in headers if name == b"host"]
    if not hosts:
        return version == "1.0"
    return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None
