"""W3C Trace Context: whose trace an event belongs to, and which span of it each step is.

An event keeps the `traceparent` of what caused it: of the API's call, or of the transaction (the setting
`tidings.traceparent`). Every step that comes of it is a span of that trace, and each span's id follows from what it is
about: an event's from the event's id, an attempt's from its delivery, number and second. So the process that makes an
attempt days later needs nothing but the event to know the parent, a batch that is routed twice makes the same spans, and a
request can be made again from history as it was sent.
"""

import re
from hashlib import blake2b
from uuid import UUID

import msgspec

HEADER = "traceparent"
SAMPLED = 1
_FLAGS = 3  # those that the specification knows: sampled, and that the trace's id is random

_PARSE = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_BEFORE, _BEHIND = 36, 52  # where the span's id begins and ends


class Trace(msgspec.Struct, frozen=True, gc=False):
    """What a `traceparent` says: the trace, the span that is the parent, and flags."""

    trace_id: int
    span_id: int
    flags: int

    @property
    def is_sampled(self) -> bool:
        """Whether who called records this trace."""
        return bool(self.flags & SAMPLED)

    def __str__(self) -> str:
        """Return it as the header has it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.flags:02x}"


def parse(text: str | None) -> Trace | None:
    """Return what a `traceparent` says; None when it is none, which is as if there were none.

    Of a version that is not known yet what is read is what all versions begin with.
    """
    found = None if not text else _PARSE.fullmatch(text.strip(" \t"))
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    trace = Trace(int(trace_id, 16), int(span_id, 16), int(flags, 16) & _FLAGS)
    return trace if trace.trace_id and trace.span_id else None


def traceparent_of(text: str | None) -> str | None:
    """Return a `traceparent` as it is kept: of version 00, with the flags that are known; None when it is none."""
    trace = parse(text)
    return None if trace is None else str(trace)


def with_span(traceparent: str, span_id: int) -> str:
    """Return a `traceparent` that is kept with another span in it."""
    return f"{traceparent[:_BEFORE]}{span_id:016x}{traceparent[_BEHIND:]}"


def trace_id_of(event_id: UUID) -> int:
    """Return the trace of an event that nobody who traces caused."""
    return _number(event_id.bytes, b"trace", 16)


def publish_span(event_id: UUID) -> int:
    """Return the span of an event's publication: from when it occurred until it was taken out of the outbox."""
    return _number(event_id.bytes, b"publish", 8)


def route_span(event_id: UUID) -> int:
    """Return the span in which an event was routed."""
    return _number(event_id.bytes, b"route", 8)


def relay_span(event_id: UUID) -> int:
    """Return the span in which an event was taken from its source into the stream of a fleet."""
    return _number(event_id.bytes, b"relay", 8)


def land_span(event_id: UUID) -> int:
    """Return the span in which an event that came by the stream was put into the outbox of its home."""
    return _number(event_id.bytes, b"land", 8)


def attempt_span(delivery_id: UUID, number: int, timestamp: int) -> int:
    """Return the span of an attempt.

    Args:
        timestamp: Its second: an attempt that was lost with its worker can have a successor of the same number.
    """
    return _number(delivery_id.bytes, b"%d %d" % (number, timestamp), 8)


def _number(what: bytes, which: bytes, size: int) -> int:
    """Return a number that is never zero, which would be no id."""
    return int.from_bytes(blake2b(what + which, digest_size=size).digest(), "big") or 1
