"""How an event looks on one receiver's wire. Pure: `prepare(webhook, keys).write(event, delivery_id, timestamp)`."""

from typing import Final

from tidings.core.signature import InstanceKeys
from tidings.core.webhook import Webhook
from tidings.profiles import cloudevents, fluxbase, standard, vivreal, vski
from tidings.profiles.prepared import Prepared
from tidings.profiles.profile import Profile, SecretForm
from tidings.profiles.request import Request, describe

PROFILES: Final[dict[str, Profile]] = {
    "standard": standard.PROFILE,
    "cloudevents": cloudevents.BINARY,
    "cloudevents-structured": cloudevents.STRUCTURED,
    "vivreal": vivreal.PROFILE,
    "vivreal-content": vivreal.CONTENT,
    "fluxbase": fluxbase.PROFILE,
    "fluxbase-t": fluxbase.WITH_TIME,
    "vski": vski.PROFILE,
}


def prepare(webhook: Webhook, keys: InstanceKeys) -> Prepared:
    """Return what makes the requests of one version of a webhook.

    Args:
        keys: What this installation signs with where the webhook's own secret does not serve: `v1a` and JWT.

    Raises:
        InvalidInputError: Its secret is not of the form its profile wants; such a webhook is refused when it is made.
    """
    return Prepared(PROFILES[webhook.profile], webhook, keys)


__all__ = ["PROFILES", "Prepared", "Profile", "Request", "SecretForm", "describe", "prepare"]
