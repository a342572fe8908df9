"""What a receiver answers."""

from enum import StrEnum

import msgspec

DEFAULT_LEASE_SECONDS = 300.0  # longer than a webhook waits for an answer, unless it is told to
DEFAULT_KEEP_SECONDS = 7 * 86_400.0  # longer than any profile goes on trying: the longest, 76 hours
MAX_BODY_BYTES = 8 * 1024 * 1024  # twice a row of 1 MiB with all of it escaped, and room
BUSY_SECONDS = 5


class Seen(StrEnum):
    """What a store knows of a delivery: nothing (`new`, and it is begun now), begun elsewhere (`busy`), or `done`."""

    NEW = "new"
    BUSY = "busy"
    DONE = "done"


class Answer(msgspec.Struct, frozen=True):
    """What is answered, in plain text: 2xx is the end of it, anything else is tried again. `retry_after`: seconds."""

    status: int
    text: str = ""
    retry_after: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, beside its length."""
        kind = {"Content-Type": "text/plain; charset=utf-8"} if self.text else {}
        return kind | ({} if self.retry_after is None else {"Retry-After": str(self.retry_after)})


TAKEN = Answer(204)
BUSY = Answer(503, "This delivery is being worked on by another process.", BUSY_SECONDS)
TOO_LARGE = Answer(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
