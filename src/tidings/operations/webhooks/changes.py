"""A webhook as somebody asks for it, and what it becomes: drafts and changes, checked. Nothing is read or written here."""

import secrets
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.retry import Policy, limited, parse_policy
from tidings.core.signature import check_text_secret, new_secret, new_text_secret, secret_key
from tidings.core.webhook import (
    MAX_FILTERS,
    MAX_NAME_LENGTH,
    Filter,
    Signature,
    Subscription,
    Webhook,
    check_headers,
    check_settings,
    check_signature,
    fault_of,
    parse_filter,
    with_problems,
    with_secret,
)
from tidings.profiles import PROFILES, Profile, SecretForm
from tidings.profiles.template import check_template, is_plain_text

W = TypeVar("W", bound=Subscription)

SCOPES = ("global", "user")  # seed 004's system; here a webhook hears its whole group, whichever is said


class WebhookChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a webhook. To create: `url` and `events` at least. To change: only what changes."""

    name: str | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    url: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    profile: str | UnsetType = UNSET
    events: list[Any] | str | UnsetType = UNSET
    secret: str | None | UnsetType = UNSET
    asymmetric: bool | UnsetType = UNSET
    signature: dict[str, Any] | None | UnsetType = UNSET
    body_template: str | None | UnsetType = UNSET
    jwt_enabled: bool | UnsetType = UNSET
    method: str | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET
    timeout_seconds: float | UnsetType = UNSET
    retry: Any | UnsetType = UNSET
    max_retries: int | UnsetType = UNSET
    retry_backoff_seconds: float | UnsetType = UNSET
    concurrency: int | UnsetType = UNSET
    rate_per_second: float | None | UnsetType = UNSET
    ordered: bool | UnsetType = UNSET
    scope: str | UnsetType = UNSET


def drafted(change: WebhookChange, *, group_id: str, default_profile: str, now: datetime) -> Webhook:
    """Return a new webhook as a caller asked for it, with its profile's defaults for the rest.

    Args:
        change: Its URL was checked by `core.webhook.check_url`.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    if change.url is UNSET:
        raise InvalidInputError("url", "url is required.")
    if change.events is UNSET:
        raise InvalidInputError("events", 'events is required; "*" stands for all.')
    name = default_profile if change.profile is UNSET else change.profile
    profile = PROFILES.get(name)
    if profile is None:
        raise InvalidInputError("profile", f"profile is {name!r}; write one of {', '.join(PROFILES)}.")
    draft = Webhook(
        id=uuid4(),
        group_id=group_id,
        name=(urlsplit(change.url).hostname or change.url)[:MAX_NAME_LENGTH],
        url=change.url,
        profile=name,
        secret=made_secret(profile),
        retry=profile.retry,
        timeout_seconds=profile.timeout_seconds,
        created_at=now,
        updated_at=now,
    )
    return changed(draft, change)


def changed(webhook: W, change: WebhookChange) -> W | Webhook:
    """Return the webhook with a change applied and checked.

    What of it could not be read must be in the change, except a secret: without one, it remains set aside.

    Raises:
        ConflictError: Its profile is not known here.
        InvalidInputError: With the field and the reason.
    """
    if webhook.profile not in PROFILES:
        raise ConflictError(fault_of(webhook.id, webhook.problems))
    profile = PROFILES[webhook.profile]
    given = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not UNSET}
    if given.pop("profile", webhook.profile) != webhook.profile:
        raise InvalidInputError("profile", "profile cannot be changed; create another webhook with that profile.")
    if given.pop("scope", SCOPES[0]) not in SCOPES:
        raise InvalidInputError("scope", f"scope is {change.scope!r}; write {' or '.join(SCOPES)}.")
    if (is_active := given.pop("is_active", None)) is not None:
        given.setdefault("enabled", is_active)
    if "events" in given:
        given["events"] = _filters(given["events"], profile)
    secret = given.pop("secret", None)  # null: keep the secret there is, or the one just made
    if given.get("signature") is not None:
        given["signature"] = _signature(given["signature"])
    if "method" in given:
        given["method"] = given["method"].upper()
    given |= _retry(webhook.retry, given)
    left = {field: reason for field, reason in webhook.problems.items() if field not in given}
    if field := next((field for field in left if field != "secret"), None):
        raise InvalidInputError(field, f"{left[field]} Write {field} anew in the same change.")
    result: W | Webhook = with_problems(msgspec.structs.replace(webhook, **given), left)
    if result.enabled:
        result = msgspec.structs.replace(result, disabled_reason=None)
    check_settings(result)
    _check_wire(result, profile)
    if secret is not None:
        check_secret(secret, profile)
        return with_secret(with_problems(result, {}), secret)  # to change it at once is what was asked
    return result


def headers_of(given: dict[str, str] | str | UnsetType) -> dict[str, str] | UnsetType:
    """Return headers that were given as an object, or as the same in a JSON string.

    Raises:
        InvalidInputError: The string is not such an object.
    """
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise InvalidInputError(
            "headers", f'headers is no JSON object of strings ({error}). Write {{"X-Name": "value"}}.'
        ) from error


def repaired(webhook: Subscription) -> Subscription:
    """Return a webhook that something manages with another secret, when its own cannot be read: nobody knows it there."""
    if "secret" not in webhook.problems or webhook.profile not in PROFILES:
        return webhook
    left = {field: reason for field, reason in webhook.problems.items() if field != "secret"}
    return with_secret(with_problems(webhook, left), made_secret(PROFILES[webhook.profile]))


def made_secret(profile: Profile) -> str:
    """Return a new secret, as the profile writes it."""
    random = secrets.token_bytes(32)
    return new_secret(random) if profile.secret_form is SecretForm.WHSEC else new_text_secret(random)


def check_secret(secret: str, profile: Profile) -> None:
    """Refuse what cannot be a secret of the profile.

    Raises:
        InvalidInputError: With what to write.
    """
    if profile.secret_form is SecretForm.WHSEC:
        secret_key(secret)
    else:
        check_text_secret(secret)


def _filters(events: list[Any] | str, profile: Profile) -> tuple[Filter, ...]:
    items = [name.strip() for name in events.split(",")] if isinstance(events, str) else events
    if not items:
        raise InvalidInputError("events", 'events is empty; name at least one event, or "*" for all.')
    if len(items) > MAX_FILTERS:
        raise InvalidInputError("events", f"events has {len(items)} entries; write at most {MAX_FILTERS}.")
    return tuple(parse_filter(item, position, profile.vocabulary) for position, item in enumerate(items))


def _signature(value: dict[str, Any]) -> Signature:
    try:
        signature = msgspec.convert(value, Signature)
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            "signature", f'signature: {error}. Write {{"header": "X-Signature", "format": "hex"}}.'
        ) from error
    check_signature(signature)
    return signature


def _retry(policy: Policy, given: dict[str, Any]) -> dict[str, Any]:
    """Take the three fields that speak of retries out of what was given; `retry` wins."""
    retries, backoff = given.pop("max_retries", None), given.pop("retry_backoff_seconds", None)
    if "retry" in given:
        return {"retry": parse_policy(given["retry"])}
    if retries is None and backoff is None:
        return {}
    return {"retry": limited(policy, max_retries=retries, backoff_seconds=backoff)}


def _check_wire(webhook: Subscription, profile: Profile) -> None:
    """Refuse settings that contradict each other on the wire."""
    check_headers(webhook.headers)
    for name in webhook.headers:
        if profile.owns_header(name) or (webhook.signature is not None and name.lower() == webhook.signature.header.lower()):
            raise InvalidInputError(f"headers.{name}", f"header '{name}' belongs to the signature and cannot be set.")
        if webhook.jwt_enabled and name.lower() == "authorization":
            raise InvalidInputError(f"headers.{name}", "header 'Authorization' is the token's while jwt_enabled is true.")
    if webhook.asymmetric and profile.secret_form is not SecretForm.WHSEC:
        raise InvalidInputError("asymmetric", f"asymmetric signs as Standard Webhooks do; profile {webhook.profile} does not.")
    if webhook.body_template is not None:
        check_template(webhook.body_template, is_text=is_plain_text(webhook.headers))
