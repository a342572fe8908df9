"""Profile `vski` (seed 003): a request as its owner configured it, without a signature.

What identifies the sender there is a token: `jwt_enabled` sends `Authorization: Bearer <JWT>`, signed by this installation,
with `roles: ["service", "webhook"]`. The seed shows no body; ours says what was done to which record of which collection. A
GET has none.
"""

from tidings.core.event import Event
from tidings.core.retry import Exponential
from tidings.core.vocabulary import VSKI
from tidings.core.webhook import Webhook
from tidings.profiles.parts import about, current, document, encode, event_time, previous
from tidings.profiles.profile import Profile
from tidings.profiles.request import Attempt

# 2, 4, 8, 16, 32 s for the default `retryLimit` of 5.
RETRY = Exponential(base=2, factor=2, tries=6)


def body(event: Event, webhook: Webhook) -> bytes:
    """Return the body.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    if webhook.method == "GET":
        return b""
    return b'{"action":%s,"collection":%s,"record":%s,"old_record":%s,"timestamp":"%s"}' % (
        encode(VSKI.name_of(event)),
        encode(about(event)),
        document(current(event)),
        document(previous(event)),
        event_time(event),
    )


def sign(_: Attempt, __: bytes) -> str:
    """Return nothing: this system signs no bodies."""
    return ""


PROFILE = Profile(body=body, sign=sign, vocabulary=VSKI, retry=RETRY)
