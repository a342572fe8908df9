"""That the stream of a fleet is away. A module by itself: who knows this error need not have what talks to NATS."""

from tidings.core.pressure import Why


class StreamAwayError(Exception):
    """The stream did not do what was asked now, and may later. Its text tells why, and `why` in a word."""

    def __init__(self, said: str, why: Why = Why.AWAY) -> None:
        super().__init__(said)
        self.why = why
