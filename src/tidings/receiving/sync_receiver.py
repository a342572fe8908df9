# Made of `async_receiver.py` by `python tools/make_sync_client.py`.
"""For synchronous receivers: verify, drop repeats, hand over."""

from collections.abc import Callable, Mapping
from typing import Any

from tidings.client.verify import DEFAULT_TOLERANCE_SECONDS, PROFILES, Secrets, VerificationError, verify
from tidings.receiving.answers import BUSY, DEFAULT_KEEP_SECONDS, DEFAULT_LEASE_SECONDS, TAKEN, Answer, Seen
from tidings.receiving.received import Received, received
from tidings.receiving.sync_stores import MemoryStore, Store

Handler = Callable[[Received], object]


class Receiver:
    """Takes the deliveries of one webhook: each event once, as long as its handler succeeds."""

    def __init__(
        self,
        secret: Secrets | Callable[[], Secrets],
        *,
        profile: str = "standard",
        signature: Mapping[str, str] | None = None,
        store: Store | None = None,
        tolerance_seconds: float = DEFAULT_TOLERANCE_SECONDS,
        issuer: str | None = None,
        webhook_id: str | None = None,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        keep_seconds: float = DEFAULT_KEEP_SECONDS,
    ) -> None:
        """Make a receiver.

        Args:
            secret: As for `verify`; or a function that returns it, called for each delivery: for secrets that are rotated.
            profile: The webhook's profile.
            signature: The webhook's own, where it has one instead of the profile's.
            store: Where it is remembered what was seen: in this process's memory when None, which a second process or a
                restart knows nothing of.
            tolerance_seconds: How old, or how far ahead, a signed time may be.
            issuer: For profile `vski`, as for `verify`.
            webhook_id: For profile `vski`, as for `verify`.
            lease_seconds: How long a handler may take. When it is over, a process that died is taken to have died.
            keep_seconds: How long it is remembered what was done.

        Raises:
            ValueError: There is no such profile, or no secret.
        """
        if profile not in PROFILES:
            raise ValueError(f"profile is {profile!r}; write one of {', '.join(PROFILES)}.")
        if not secret:
            raise ValueError("secret is empty; write the webhook's, which the answer to its creation has.")
        self.store = MemoryStore() if store is None else store
        self._secret = secret
        self._profile = profile
        self._signature = signature
        self._tolerance_seconds = tolerance_seconds
        self._issuer = issuer
        self._webhook_id = webhook_id
        self._lease_seconds = lease_seconds
        self._keep_seconds = keep_seconds

    def verified(self, body: bytes, headers: Mapping[str, str], request: Any = None) -> Received:
        """Check a delivery and return what it says, seen before or not.

        Raises:
            VerificationError: It is not genuine, or too old.
            ValueError: A secret is not one.
        """
        said = verify(
            body,
            headers,
            self._secret() if callable(self._secret) else self._secret,
            profile=self._profile,
            signature=self._signature,
            tolerance_seconds=self._tolerance_seconds,
            issuer=self._issuer,
            webhook_id=self._webhook_id,
        )
        return received(self._profile, body, said, headers, request, signs_headers=self._signature is None)

    def handle(self, body: bytes, headers: Mapping[str, str], handler: Handler, request: Any = None) -> Answer:
        """Check a delivery, hand it over unless it was seen, and say what to answer.

        What the handler raises is raised: the delivery is as if it had not come, and comes again.

        Args:
            body: The body as it came.
            handler: What is to be done once.
            request: The framework's, for the handler.
        """
        try:
            event = self.verified(body, headers, request)
        except VerificationError as error:
            return Answer(401, str(error))
        match self.store.begin(event.id, self._lease_seconds):
            case Seen.DONE:
                return TAKEN
            case Seen.BUSY:
                return BUSY
        try:
            handler(event)
        except BaseException:
            self.store.release(event.id)
            raise
        self.store.finish(event.id, self._keep_seconds)
        return TAKEN
