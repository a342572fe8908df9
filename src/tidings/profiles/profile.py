"""What one profile consists of."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from tidings.core.event import Event
from tidings.core.retry import Policy
from tidings.core.vocabulary import Vocabulary
from tidings.core.webhook import Webhook
from tidings.profiles.request import Attempt


class SecretForm(StrEnum):
    """How a secret is written."""

    WHSEC = "whsec"  # `whsec_` and base64; the key is what the base64 stands for
    TEXT = "text"  # any text; the key is its UTF-8 bytes


class Profile(msgspec.Struct, frozen=True):
    """How an event looks on one receiver's wire. Two pure functions, and what that system's users expect by default.

    Attributes:
        body: The body, the same bytes on every retry.
        sign: The headers that identify and sign a body, as lines that each end with CR LF.
        owned_headers: What `sign` may write, in lower case; a name that ends in `-` stands for all that begin so.
        content_type: Unless the webhook's own headers say otherwise.
    """

    body: Callable[[Event, Webhook], bytes]
    sign: Callable[[Attempt, bytes], str]
    vocabulary: Vocabulary
    retry: Policy
    secret_form: SecretForm = SecretForm.TEXT
    timeout_seconds: float = 30.0
    owned_headers: tuple[str, ...] = ()
    content_type: str = "application/json"

    def owns_header(self, name: str) -> bool:
        """Tell whether a header is this profile's to write."""
        lower = name.lower()
        return any(lower.startswith(owned) if owned.endswith("-") else lower == owned for owned in self.owned_headers)
