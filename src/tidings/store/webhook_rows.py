"""What a webhook's row says, read as far as it can be.

A row can be one that we cannot read: sealed under another key, written by a later version, changed by hand. What of it cannot
be read is told in `problems`, field by field, and stops nobody: not the list it stands in, not the other webhooks.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from tidings.core.credentials import NOTHING, NOTHING_SHOWN, Credentials, Shown
from tidings.core.errors import InvalidInputError, StartupError, TidingsError
from tidings.core.filters import CollectionFilter, Filter, Kind, TypeFilter, parse_filter
from tidings.core.retry import STANDARD, Policy, parse_policy
from tidings.core.routing import Route
from tidings.core.webhook import (
    Signature,
    Subscription,
    check_headers,
    check_settings,
    check_signature,
    check_url,
    fault_of,
    with_problems,
    with_secret,
)
from tidings.profiles import PROFILES
from tidings.profiles.template import check_template, is_plain_text
from tidings.store.egress import read_narrowing
from tidings.store.secrets import SecretBox

T = TypeVar("T")

# Most webhooks name the same few events: so many texts of `events` are kept read, if they have no more characters than this.
_ALIKE = 4096
_ALIKE_LENGTH = 500
# What reading a value raises that is not as we write it.
_UNREADABLE = (InvalidInputError, StartupError, msgspec.MsgspecError, ValueError, TypeError, LookupError, RecursionError)


def filter_to_json(wanted: Filter) -> Any:
    """Return a filter as the API and the database write it."""
    match wanted:
        case TypeFilter():
            return wanted.name
        case CollectionFilter():
            return {"collection": wanted.collection, "actions": list(wanted.actions)}
        case _:
            return {"table": wanted.table, "schema": wanted.schema, "operations": list(wanted.operations)}


def filters_of(profile: str, events: str) -> tuple[Filter, ...]:
    """Read the column `events`, by the names of a profile.

    Raises:
        InvalidInputError: The profile or one of the filters is not known.
        msgspec.MsgspecError: It is no list.
    """
    if profile not in PROFILES:
        raise InvalidInputError("profile", f"There is no profile {profile!r}.")
    vocabulary = PROFILES[profile].vocabulary
    return tuple(parse_filter(item, at, vocabulary) for at, item in enumerate(msgspec.json.decode(events, type=list[Any])))


def _kinds_of(profile: str, events: str) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys(kind for wanted in filters_of(profile, events) for kind in wanted.kinds))


_shared_kinds_of = lru_cache(maxsize=_ALIKE)(_kinds_of)


def read_route(row: Any) -> tuple[Route, str | None]:
    """Return what routing needs to know of a webhook, and why its filters cannot be read, if so: then it hears nothing."""
    try:
        kinds_of = _shared_kinds_of if len(row["events"]) <= _ALIKE_LENGTH else _kinds_of
        return Route(row["group_id"], row["enabled"], kinds_of(row["profile"], row["events"])), None
    except _UNREADABLE as error:
        field = "events" if row["profile"] in PROFILES else "profile"
        return Route(row["group_id"], row["enabled"], ()), fault_of(row["id"], {field: _told(field, error)})


def read(row: Any, box: SecretBox | None = None) -> Subscription:
    """Return what a row says: a `Webhook` when a box is given and everything can be read, else a `Subscription`.

    Args:
        row: A webhook with the limits of its lane.
        box: Opens the secrets. None: they are left alone, and what was found out about them stands in `fault`.
    """
    reader = _Reader(row)
    subscription = reader.subscription()
    if box is None and not reader.problems:
        return subscription if row["fault"] is None else msgspec.structs.replace(subscription, fault=row["fault"])
    if box is None:
        return with_problems(subscription, reader.problems)
    opened = partial(_opened, box, row["id"])
    secret, previous = reader.take("secret", opened, None), reader.take("secret", opened, None, column="previous_secret")
    credentials = reader.take("auth", partial(_opened_credentials, box, row["id"]), NOTHING, column="sealed_credentials")
    if reader.problems or secret is None:
        return with_problems(subscription, reader.problems)
    rotation = {
        "previous_secret": previous, "previous_secret_until": row["previous_secret_until"], "credentials": credentials,
    }  # fmt: skip
    return msgspec.structs.replace(with_secret(subscription, secret), **rotation)


def _opened(box: SecretBox, owner: UUID, sealed: bytes | None) -> str | None:
    return None if sealed is None else box.open(sealed, owner)


def _opened_credentials(box: SecretBox, owner: UUID, sealed: bytes | None) -> Credentials:
    return NOTHING if sealed is None else msgspec.json.decode(box.open(sealed, owner), type=Credentials)


def _told(field: str, error: Exception) -> str:
    return error.message if isinstance(error, TidingsError) else f"{field}: {str(error) or type(error).__name__}."


class _Reader:
    """Reads a row column by column, and collects why one cannot be read."""

    def __init__(self, row: Any) -> None:
        self._row = row
        self.problems: dict[str, str] = {}

    def take(self, field: str, read_value: Callable[[Any], T], otherwise: T, column: str | None = None) -> T:
        """Return what a column says, or what stands for it when it cannot be read."""
        try:
            return read_value(self._row[column or field])
        except _UNREADABLE as error:
            self.problems[field] = _told(field, error)
            return otherwise

    def subscription(self) -> Subscription:
        """Return all but the secrets."""
        row = self._row
        nothing: tuple[Filter, ...] = ()
        standard: Policy = STANDARD
        events = self.take("profile", lambda name: filters_of(name, "[]"), None)
        if events is not None:  # without its profile's words they could say anything
            events = self.take("events", lambda text: filters_of(row["profile"], text), nothing)
        subscription = Subscription(
            id=row["id"],
            group_id=row["group_id"],
            version=row["version"],
            name=row["name"],
            description=row["description"],
            url=row["url"],
            enabled=row["enabled"],
            disabled_reason=row["disabled_reason"],
            profile=row["profile"],
            events=events or nothing,
            asymmetric=row["is_asymmetric"],
            signature=self.take("signature", _signature, None),
            body_template=row["body_template"],
            jwt_enabled=row["jwt_enabled"],
            method=row["method"],
            headers=self.take("headers", _headers, {}),
            timeout_seconds=row["timeout_seconds"],
            retry=self.take("retry", _policy, standard),
            concurrency=row["concurrency"],
            rate_per_second=row["rate_per_second"],
            ordered=row["ordered"],
            managed_by=row["managed_by"],
            credentials_shown=self.take("auth", _shown, NOTHING_SHOWN, column="credentials"),
            narrowing=self.take("egress", read_narrowing, None, column="narrowing"),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )
        self._check(subscription)
        return subscription

    def _check(self, webhook: Subscription) -> None:
        """Look for what the API would have refused."""
        try:
            check_settings(webhook)
            check_url(webhook.url)
            if webhook.body_template is not None:
                check_template(webhook.body_template, is_text=is_plain_text(webhook.headers))
        except InvalidInputError as error:
            self.problems.setdefault(error.field, error.message)


def _signature(text: str | None) -> Signature | None:
    if text is None:
        return None
    signature = msgspec.json.decode(text, type=Signature)
    check_signature(signature)
    return signature


def _shown(text: str | None) -> Shown:
    return NOTHING_SHOWN if text is None else msgspec.json.decode(text, type=Shown)


def _headers(text: str) -> dict[str, str]:
    headers = msgspec.json.decode(text, type=dict[str, str])
    check_headers(headers)
    return headers


def _policy(text: str) -> Policy:
    return parse_policy(msgspec.json.decode(text))
