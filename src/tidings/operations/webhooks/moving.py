"""A webhook that changes its profile: what goes along, and what its owner has to say anew. Nothing is read or written here."""

from typing import Any, TypeVar

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.filters import Filter, TypeFilter, parse_filter
from tidings.core.webhook import Subscription, Webhook
from tidings.operations.webhooks.secret_forms import fits
from tidings.operations.webhooks.shapes import check_profile
from tidings.profiles import PROFILES, Profile
from tidings.store.webhook_rows import filter_to_json

W = TypeVar("W", bound=Subscription)


def moved(webhook: W, name: str, given: dict[str, Any], *, has_secret: bool) -> W:
    """Return the webhook with another profile, and what the profile decides unless the webhook's owner had decided it.

    Args:
        given: What else the change says.
        has_secret: It says another secret.

    Raises:
        InvalidInputError: There is no such profile, or what the webhook has does not fit it; with what to send beside it.
    """
    check_profile(name)
    before, after = PROFILES[webhook.profile], PROFILES[name]
    fields: dict[str, Any] = {"profile": name}
    if "events" not in given and "events" not in webhook.problems:
        fields["events"] = tuple(_reread(wanted, at, name, after) for at, wanted in enumerate(webhook.events))
    if webhook.retry == before.retry:
        fields["retry"] = after.retry
    if webhook.timeout_seconds == before.timeout_seconds:
        fields["timeout_seconds"] = after.timeout_seconds
    if isinstance(webhook, Webhook):
        if not has_secret and not fits(webhook.secret, after):
            raise InvalidInputError(
                "secret",
                f"The webhook's secret is any text, which profile {name} cannot sign with. Send another in the same change: "
                '"secret": "whsec_" followed by the base64 of 24 to 64 bytes.',
            )
        if webhook.previous_secret is not None and not fits(webhook.previous_secret, after):
            fields |= {"previous_secret": None, "previous_secret_until": None}
    return msgspec.structs.replace(webhook, **fields)


def _reread(wanted: Filter, position: int, name: str, profile: Profile) -> Filter:
    """Return a filter as it is by the names of another profile.

    Raises:
        InvalidInputError: Its name stands for nothing there, or for something else.
    """
    try:
        again = parse_filter(filter_to_json(wanted), position, profile.vocabulary)
    except InvalidInputError as error:
        raise InvalidInputError(error.field, f"{error.message} {_instead(wanted, profile)}") from error
    if isinstance(wanted, TypeFilter) and isinstance(again, TypeFilter) and not _shares(wanted, again):
        field = f"events[{position}]"
        told = f"{field} is {wanted.name!r}, which profile {name} does not know by what it stands for now."
        raise InvalidInputError(field, f"{told} {_instead(wanted, profile)}")
    return again


def _instead(wanted: Filter, profile: Profile) -> str:
    """Return what to send instead of a filter whose name means nothing in a profile."""
    types = wanted.types if isinstance(wanted, TypeFilter) else ()
    sent = profile.vocabulary.sent
    called = dict.fromkeys(types if sent is None else (sent[type_] for type_ in types if type_ in sent))
    named = ", ".join(f'"{name}"' for name in called)
    return f"Send events in the same change{f', such as {named}' if named else ''}."


def _shares(one: TypeFilter, other: TypeFilter) -> bool:
    """Tell whether two filters can want the same event."""
    if set(one.operations) & set(other.operations):
        return True
    return any(_overlap(mine, theirs) for mine in one.types for theirs in other.types)


def _overlap(one: str, other: str) -> bool:
    first, second = one.removesuffix("*"), other.removesuffix("*")
    return first == second or (
        (one.endswith("*") and second.startswith(first)) or (other.endswith("*") and first.startswith(second))
    )
