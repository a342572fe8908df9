"""How many deliveries led to an event.

A receiver that answers a delivery by publishing, or by sending a notice, can make events for ever. So each delivery tells in a
header how many deliveries led to it, itself included; and what is published with that header is an event of that many hops.
The header is W3C Baggage: tracing libraries (OpenTelemetry among them) hand it on by themselves to all that is called within
a request; a header of our own would not be. Inside PostgreSQL the setting `tidings.hops` says the same of a transaction.
"""

HEADER = "baggage"
MEMBER = "tidings.hops"
MAX_HOPS = 9999  # that are told; the default of tidings.outbox.hops reads no more digits

DEFAULT_DEPTH = 16


def hops_of(baggage: str | None) -> int:
    """Return how many deliveries led to a request, by its header `baggage`; 0 when it does not say so."""
    if not baggage or MEMBER not in baggage:
        return 0
    for member in baggage.split(","):
        name, _, value = member.partition(";")[0].partition("=")
        digits = value.strip()
        if name.strip() == MEMBER and digits.isascii() and digits.isdecimal():
            return int(digits) if len(digits) <= 4 else MAX_HOPS
    return 0


def told(hops: int) -> str:
    """Return the value of the header for a delivery of an event that so many deliveries led to."""
    return f"{MEMBER}={min(hops + 1, MAX_HOPS)}"


def too_deep(hops: int, depth: int) -> str | None:
    """Return why an event is not delivered any more; None while it may be."""
    if hops < depth:
        return None
    return (
        f"Stopped: {hops} deliveries led to this event, one from the other ({HEADER}: {MEMBER}), and {depth} are the limit "
        "(loop_depth). Its receiver does again what the event tells of; have it leave out what it did itself."
    )
