"""Whether a URL can be reached from here, before anything is sent to it."""

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.operations import egress
from tidings.operations.services import Services
from tidings.transport.sender import Reached

REACH_SECONDS = 5.0  # for DNS, connection and handshake together


class Reach(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        is_refused: The URL cannot be saved as it is; otherwise it can, reached or not.
        sentence: What was found, with the remedy where there is one.
        reached: How, when it was.
    """

    is_refused: bool
    sentence: str
    reached: Reached | None = None


async def check(services: Services, url: str) -> Reach:
    """Return whether a URL can be reached: its name resolves to addresses that may be called, somebody listens, TLS is trusted.

    Nothing is sent. It takes at most `REACH_SECONDS`.
    """
    try:
        target = await egress.target_of(services, url)
    except InvalidInputError as error:
        return Reach(True, error.message)
    reached = await services.sender.reach(target, REACH_SECONDS)
    if reached.failure is None:
        return Reach(False, _said(reached), reached)
    if reached.refusal is not None:
        return Reach(True, egress.said(services, reached.refusal))
    return Reach(False, f"{reached.error} It can be saved; deliveries are tried again until it answers.", reached)


def _said(reached: Reached) -> str:
    where = f"{reached.address} answers in {reached.connect_ms:.0f} ms"
    if reached.tls is None:
        return f"{where}, without TLS: what is sent can be read on its way."
    until = f", certificate until {reached.certificate_until}" if reached.certificate_until else ""
    return f"{where}, {reached.tls}{until}."
