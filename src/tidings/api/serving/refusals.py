"""What a client is told whose request is refused before the application sees it."""

from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tidings.api.serving.entrance import Limits

MAX_HEADERS: Final = 100  # of a request; each costs far more than its bytes

_SENTENCES: Final = {
    "connections": (503, "TOO_BUSY", "There are too many connections. Try again."),
    "address": (503, "TOO_BUSY", "There are too many connections from your address. Close some, or try again."),
    "way": (503, "TOO_BUSY", "There are too many connections; this one made way for another. Try again."),
    "stopping": (503, "STOPPING", "The server is stopping; nothing was done. Try again."),
    "bodies": (503, "TOO_BUSY", "Too much is being sent at once. Try again."),
    "slow_head": (408, "TOO_SLOW", "The request's headers did not come in time."),
    "slow_body": (408, "TOO_SLOW", "The request's body did not come in time."),
    "large_head": (
        431,
        "HEADERS_TOO_LARGE",
        "The request's headers are larger than %(header_bytes)d bytes, or more than %(headers)d.",
    ),
    "large_body": (413, "BODY_TOO_LARGE", "The body is larger than the %(body_bytes)d bytes that any call takes."),
    "malformed": (400, "MALFORMED_REQUEST", "This is not an HTTP/1.1 request."),
    "host": (400, "MALFORMED_REQUEST", "A request has one Host header, with a host and perhaps a port. Send it once."),
    "pipelined": (400, "MALFORMED_REQUEST", "Too many requests were sent before the first was answered."),
}


def refusal(reason: str, limits: Limits) -> bytes:
    """Return the answer that says why, and that the connection ends."""
    status, code, sentence = _SENTENCES[reason]
    said = sentence % {"body_bytes": limits.body_bytes, "header_bytes": limits.header_bytes, "headers": MAX_HEADERS}
    body = msgspec.json.encode({"error": said, "code": code})
    again = b"retry-after: 2\r\n" if status == 503 else b""
    return b"%bcontent-type: application/json\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n%b" % (
        STATUS_LINE[status],
        len(body),
        again,
        body,
    )
