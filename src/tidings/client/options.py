"""How a client asks: where, as whom, how long and how often."""

from dataclasses import dataclass, field
from urllib.parse import quote

DEFAULT_TIMEOUT = 30.0  # seconds
RETRIES = 2


@dataclass(frozen=True)
class Options:
    """What all requests of a client have in common.

    Attributes:
        url: Where the server is, such as `https://tidings.example.com`.
        api_key: The key of a person or program.
        group: Whose things it is about; `default` when None.
        home: The home of a fleet that answers, for what is about an installation; whichever is reached when None.
        timeout: Seconds one try may take.
        retries: How often to try again what can be done twice, when the network or the server is unwell.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    group: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    retries: int = RETRIES
    home: str | None = None

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ValueError(f"retries is {self.retries}; write 0 for none.")
        if self.timeout <= 0:
            raise ValueError(f"timeout is {self.timeout}; write a number of seconds above 0.")

    @property
    def headers(self) -> dict[str, str]:
        """What says who asks, and for whom."""
        headers = {"Accept": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        if self.group is not None:
            headers["X-Tidings-Group"] = quote(self.group)
        if self.home is not None:
            headers["X-Tidings-Home"] = quote(self.home)
        return headers
