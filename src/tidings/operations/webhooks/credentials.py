"""What a change says of a webhook's credentials. Nothing is read or written here."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from tidings.core.credentials import FIELDS, NOTHING, NOTHING_SHOWN, Credentials, OAuth2, Shown, origin, with_given
from tidings.core.errors import InvalidInputError
from tidings.core.webhook import Subscription, Webhook, with_problems

W = TypeVar("W", bound=Subscription)


def taken_from(given: dict[str, Any]) -> dict[str, Any]:
    """Take what a change says of credentials out of it."""
    return {name: given.pop(name) for name in FIELDS if name in given}


def drafted(said: dict[str, Any], now: datetime) -> tuple[Credentials, Shown]:
    """Return the credentials of a new webhook, and what is shown of them.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    return with_given((NOTHING, NOTHING_SHOWN), said, now)


def changed(webhook: W, said: dict[str, Any], *, has_secret: bool, now: datetime) -> tuple[W, Credentials]:
    """Return the webhook with what is said of its credentials, and the whole of them.

    Where what is stored cannot be read, they are only what is said; so they are of a webhook that was read without its
    secrets, to look at what a change comes to.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    is_unreadable = not isinstance(webhook, Webhook) and bool(webhook.problems)
    kept = webhook.credentials if isinstance(webhook, Webhook) else NOTHING
    before = (kept, NOTHING_SHOWN if is_unreadable else webhook.credentials_shown)
    if not said:
        return webhook, kept
    if is_unreadable and not has_secret:
        raise InvalidInputError("secret", "Nothing that is encrypted of this webhook can be read: write secret anew beside it.")
    credentials, told = with_given(before, said, now)
    left = {field: reason for field, reason in webhook.problems.items() if field != "auth"}
    whole = {"credentials": credentials} if isinstance(webhook, Webhook) else {}
    return with_problems(msgspec.structs.replace(webhook, credentials_shown=told, **whole), left), credentials


def check_kept(webhook: Subscription, given: dict[str, Any], said: dict[str, Any]) -> None:
    """Refuse to send the credentials that are for one host to another: whoever may change a webhook could read them there.

    Raises:
        InvalidInputError: The change does so.
    """
    auth = webhook.credentials_shown.auth
    if auth is not None and "auth" not in said and "url" in given and origin(given["url"]) != origin(webhook.url):
        raise InvalidInputError(
            "auth",
            "The URL leads to another host, which is not to get what was given for the present one. Give auth anew beside it, "
            "or take it away (null).",
        )


def token_url_of(webhook: Webhook) -> str | None:
    """Return where a webhook gets its tokens; None: it sends none."""
    auth = webhook.credentials.auth
    return auth.token_url if isinstance(auth, OAuth2) else None


def on_record(webhook: Subscription) -> dict[str, Any]:
    """Return a webhook's credentials for the audit, which hides what is secret in them and tells which were changed."""
    made: dict[str, Any] = msgspec.to_builtins(webhook.credentials) if isinstance(webhook, Webhook) else {}
    return made


def differ(webhook: Subscription, before: Subscription) -> bool:
    """Whether a change gives the webhook other credentials."""
    if isinstance(webhook, Webhook) and isinstance(before, Webhook):
        return webhook.credentials != before.credentials
    return webhook.credentials_shown != before.credentials_shown
