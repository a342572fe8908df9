"""A webhook as somebody asks for it, and what it becomes: drafts and changes, checked. Nothing is read or written here."""

from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.filters import MAX_FILTERS, Filter, parse_filter
from tidings.core.retry import Policy, limited, parse_policy
from tidings.core.text import check_text
from tidings.core.webhook import (
    MAX_NAME_LENGTH,
    Signature,
    Subscription,
    Webhook,
    check_headers,
    check_settings,
    check_signature,
    fault_of,
    with_problems,
    with_secret,
)
from tidings.operations.webhooks import credentials
from tidings.operations.webhooks.moving import moved
from tidings.operations.webhooks.secret_forms import check_secret, fits, made_secret
from tidings.operations.webhooks.shapes import check_profile, entries_of
from tidings.operations.webhooks.shown import OBSERVED, READ_ONLY, SCOPES, shown
from tidings.profiles import PROFILES, Profile, SecretForm
from tidings.profiles.template import check_template, is_plain_text

W = TypeVar("W", bound=Subscription)

_NAMED = frozenset({"table", "schema", "collection"})
DEFAULT_OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 30 * 86_400


class WebhookChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a webhook. To create: `url` and `events` at least. To change: only what changes.

    What is read of a webhook may be sent back: what says what it says already is no change. The fields below `scope` are
    shown and never set (`shown.READ_ONLY`, `shown.OBSERVED`).
    """

    name: str | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    url: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    profile: str | UnsetType = UNSET
    events: list[Any] | str | UnsetType = UNSET
    secret: str | None | UnsetType = UNSET
    asymmetric: bool | UnsetType = UNSET
    signature: dict[str, Any] | None | UnsetType = UNSET
    body_template: str | None | UnsetType = UNSET
    jwt_enabled: bool | UnsetType = UNSET
    auth: dict[str, Any] | None | UnsetType = UNSET
    client_certificate: dict[str, Any] | None | UnsetType = UNSET
    ca_certificates: str | list[Any] | None | UnsetType = UNSET
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
    id: UUID | UnsetType = UNSET
    created_at: datetime | UnsetType = UNSET
    updated_at: datetime | UnsetType = UNSET
    version: int | UnsetType = UNSET
    disabled_reason: str | None | UnsetType = UNSET
    managed_by: str | None | UnsetType = UNSET
    fault: str | None | UnsetType = UNSET
    tables: Any | UnsetType = UNSET
    health: Any | UnsetType = UNSET
    message: Any | UnsetType = UNSET
    profile_reason: Any | UnsetType = UNSET
    warnings: Any | UnsetType = UNSET


def drafted(change: WebhookChange, *, group_id: str, default_profile: str, now: datetime) -> Webhook:
    """Return a new webhook as a caller asked for it, with its profile's defaults for the rest.

    Args:
        change: Its URL was checked by `core.webhook.check_url`.
        default_profile: The profile when the caller names none (`shapes.chosen_profile`).

    Raises:
        InvalidInputError: With the field and the reason.
    """
    if change.url is UNSET:
        raise InvalidInputError("url", "url is required.")
    if change.events is UNSET:
        raise InvalidInputError("events", 'events is required; "*" stands for all.')
    given = _said(change)
    if field := next((name for name in given if name in READ_ONLY), None):
        raise InvalidInputError(field, f"{field} is given by Tidings when a webhook is made; leave it out.")
    name = given.pop("profile", default_profile)
    check_profile(name)
    profile = PROFILES[name]
    if (secret := given.pop("secret", None)) is not None:
        check_secret(secret, profile)
    whole, told = credentials.drafted(credentials.taken_from(given), now)
    draft = Webhook(
        credentials=whole,
        credentials_shown=told,
        id=uuid4(),
        group_id=group_id,
        name=(urlsplit(change.url).hostname or change.url)[:MAX_NAME_LENGTH],
        url=change.url,
        profile=name,
        secret=made_secret(profile) if secret is None else secret,
        retry=profile.retry,
        timeout_seconds=profile.timeout_seconds,
        created_at=now,
        updated_at=now,
    )
    return _with(draft, given)


def changed(webhook: W, change: WebhookChange, *, now: datetime) -> W | Webhook:
    """Return the webhook with a change applied and checked; the same one when the change says what it says already.

    What of it could not be read must be in the change, except a secret: without one, it remains set aside. A new secret is
    rotated in: the present one verifies beside it for a day.

    Raises:
        ConflictError: Its profile is not known here.
        InvalidInputError: With the field and the reason.
    """
    if webhook.profile not in PROFILES:
        raise ConflictError(fault_of(webhook.id, webhook.problems))
    given = _news(webhook, change)
    if not given and not webhook.problems:
        return webhook
    secret = given.pop("secret", None)  # null: keep the secret there is
    said = credentials.taken_from(given)
    credentials.check_kept(webhook, given, said)
    webhook, whole = credentials.changed(webhook, said, has_secret=secret is not None, now=now)
    if (name := given.pop("profile", None)) is not None:
        result = _with(moved(webhook, name, given, has_secret=secret is not None), given)
    else:
        result = _with(webhook, given)
    if secret is None:
        return result
    if isinstance(result, Webhook):
        return rotated(result, secret, now=now)
    check_secret(secret, PROFILES[result.profile])
    anew = with_secret(with_problems(result, {}), secret)  # there is none that could verify beside it
    return msgspec.structs.replace(anew, credentials=whole)


def rotated(webhook: Webhook, secret: str, *, now: datetime, overlap_seconds: float = DEFAULT_OVERLAP_SECONDS) -> Webhook:
    """Return the webhook with another secret. The present one verifies beside it until the overlap ends.

    One that the webhook's profile cannot sign with, because the profile was changed too, ends at once.

    Raises:
        InvalidInputError: It cannot be a secret of the profile, or is the present one.
    """
    profile = PROFILES[webhook.profile]
    check_secret(secret, profile)
    if secret == webhook.secret:
        raise InvalidInputError("secret", "secret is the one in use; leave it out and Tidings makes another.")
    goes_on = fits(webhook.secret, profile)
    return msgspec.structs.replace(
        webhook,
        secret=secret,
        previous_secret=webhook.secret if goes_on else None,
        previous_secret_until=now + timedelta(seconds=overlap_seconds) if goes_on else None,
    )


def _said(change: WebhookChange) -> dict[str, Any]:
    """Return the fields that a change names, without those that mean nothing in one."""
    return {
        name: value
        for name in change.__struct_fields__
        if (value := getattr(change, name)) is not UNSET and name not in OBSERVED
    }


def _news(webhook: Subscription, change: WebhookChange) -> dict[str, Any]:
    """Return what a change says that the webhook does not say already.

    Raises:
        InvalidInputError: It would change what nobody sets.
    """
    told = shown(webhook) | {"active": webhook.enabled}
    if isinstance(webhook, Webhook):
        told["secret"] = webhook.secret
    given = {
        name: value
        for name, value in _said(change).items()
        if name in webhook.problems or name not in told or told[name] != value
    }
    if field := next((name for name in given if name in READ_ONLY), None):
        raise InvalidInputError(field, f"{field} is {_plain(told[field])} and cannot be set. {READ_ONLY[field]}")
    return given


def _plain(value: Any) -> Any:
    return "null" if value is None else msgspec.to_builtins(value)


def _with(webhook: W, given: dict[str, Any]) -> W:
    """Return the webhook with other fields, checked. Its profile is the one they are read by."""
    given, profile = dict(given), PROFILES[webhook.profile]
    if given.pop("scope", SCOPES[0]) not in SCOPES:
        raise InvalidInputError("scope", f"scope must be {' or '.join(SCOPES)}.")
    for alias in ("is_active", "active"):
        if (is_active := given.pop(alias, None)) is not None:
            given.setdefault("enabled", is_active)
    # Refused here and not where rows are read: a webhook that was made before goes on.
    if "name" in given:
        check_text(given["name"], "name")
    if given.get("description") is not None:
        check_text(given["description"], "description", may_have_lines=True)
    if "events" in given:
        given["events"] = _filters(given["events"], profile)
    if given.get("signature") is not None:
        given["signature"] = _signature(given["signature"])
    if "method" in given:
        given["method"] = given["method"].upper()
    given |= _retry(webhook.retry, given)
    left = {field: reason for field, reason in webhook.problems.items() if field not in given}
    if field := next((field for field in left if field != "secret"), None):
        raise InvalidInputError(field, f"{left[field]} Write {field} anew in the same change.")
    result = with_problems(msgspec.structs.replace(webhook, **given), left)
    if result.enabled:
        result = msgspec.structs.replace(result, disabled_reason=None)
    check_settings(result)
    _check_wire(result, profile)
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


def _filters(events: list[Any] | str, profile: Profile) -> tuple[Filter, ...]:
    items = entries_of(events)
    if not items:
        raise InvalidInputError("events", 'events is empty; name at least one event, or "*" for all.')
    if len(items) > MAX_FILTERS:
        raise InvalidInputError("events", f"events has {len(items)} entries; write at most {MAX_FILTERS}.")
    for position, item in enumerate(items):
        _check_texts(item, f"events[{position}]")
    return tuple(parse_filter(item, position, profile.vocabulary) for position, item in enumerate(items))


def _check_texts(item: Any, field: str) -> None:
    if isinstance(item, str):
        check_text(item, field)
    elif isinstance(item, dict):
        for name, value in item.items():
            if isinstance(value, str):
                check_text(value, f"{field}.{name}" if name in _NAMED else field)


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
        if webhook.credentials_shown.auth is not None and name.lower() == "authorization":
            raise InvalidInputError(f"headers.{name}", "header 'Authorization' is what auth is sent by; leave one of them out.")
    if webhook.credentials_shown.auth is not None and webhook.jwt_enabled:
        raise InvalidInputError("auth", "auth and jwt_enabled both send Authorization; leave one of them out.")
    if webhook.asymmetric and profile.secret_form is not SecretForm.WHSEC:
        raise InvalidInputError("asymmetric", f"asymmetric signs as Standard Webhooks do; profile {webhook.profile} does not.")
    if webhook.body_template is not None:
        check_template(webhook.body_template, is_text=is_plain_text(webhook.headers))
