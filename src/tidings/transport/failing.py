"""Why a connection could not be opened."""

from tidings.core.egress import Refusal
from tidings.core.outcome import Exchange, Timings

_NONE = Timings()


class OpeningError(Exception):
    """A phase failed before the request could be sent. Carries what `Exchange` says of it.

    Attributes:
        refusal: By whom the target is refused, when it is.
    """

    def __init__(self, failure: str, error: str, timings: Timings = _NONE, refusal: Refusal | None = None) -> None:
        super().__init__(error)
        self.failure, self.error, self.timings, self.refusal = failure, error, timings, refusal

    def exchange(self, total_ms: float) -> Exchange:
        """Return what came of the exchange."""
        spent = self.timings
        timings = Timings(spent.dns_ms, spent.connect_ms, spent.tls_ms, None, total_ms)
        return Exchange(failure=self.failure, error=self.error, timings=timings)
