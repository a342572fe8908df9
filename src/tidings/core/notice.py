"""What the notices of other systems mean: objects made, changed and deleted, and sites deployed.

A notice has been verified before it comes here. Each platform says in its own way which object it is about and how new that
is; what does not speak of an object is passed on as it is.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tidings.core.errors import InvalidInputError

PLATFORMS = ("stripe", "github", "standard", "hmac")
DEPLOYED_TYPES = ("site.deployed", "deployment.succeeded", "deployment.ready", "deploy.succeeded")
_GONE = ("deleted", "removed")
_NO_OBJECT = {"ping", "push"}


class ObjectNews(msgspec.Struct, frozen=True):
    """The state of one object.

    Attributes:
        version: Larger is newer; seconds since 1970 for the platforms we know.
        data: JSON text; None: it was deleted.
    """

    type: str
    id: str
    version: float
    data: str | None


class Meaning(msgspec.Struct, frozen=True):
    """What a notice says.

    Attributes:
        type: What its sender calls it.
        news: The object it is about, or None.
        deployed: A site was deployed.
    """

    type: str
    news: ObjectNews | None = None
    deployed: bool = False


class Stored(msgspec.Struct, frozen=True):
    """An object as it is known. `data`: None once it was deleted."""

    version: float
    data: str | None


# Numbers with a point stay the text they came as: reading them would lose digits.
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=lambda text: msgspec.Raw(text.encode())).decode


def read_body(body: bytes) -> dict[str, Any]:
    """Return a notice as the object it must be.

    Raises:
        InvalidInputError: It is not JSON, or no object.
    """
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInputError(
            "body",
            f"The body is no JSON object ({error or 'it is nested too deeply'}). Have the sender write application/json.",
        ) from error


def meaning_of(
    platform: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    now: float,
    deployed_types: Sequence[str] = DEPLOYED_TYPES,
) -> Meaning:
    """Return what a verified notice says.

    Args:
        now: Seconds since 1970: how new an object is whose notice does not say.
    """
    match platform:
        case "stripe":
            return _of_stripe(body, now)
        case "github":
            return _of_github(body, _text(headers.get("x-github-event", "")), now)
        case _:
            return _of_any(body, now, deployed_types)


def _of_stripe(body: Mapping[str, Any], now: float) -> Meaning:
    """Read an event of Stripe's (docs.stripe.com/api/events/object): `type`, `created`, `data.object`."""
    type_ = _text(body.get("type", ""))
    found = _object_of(body.get("data"), "object")
    version = _seconds(body.get("created"), now)
    if found is None:
        return Meaning(type_)
    kind = _text(found.get("object") or type_.partition(".")[0])
    return Meaning(type_, _news(kind, found, version, gone=type_.endswith(".deleted")))


def _of_github(body: Mapping[str, Any], name: str, now: float) -> Meaning:
    """Read a webhook of GitHub's (docs.github.com/webhooks/webhook-events-and-payloads): a member is named as the event is."""
    action = _text(body.get("action", ""))
    type_ = f"{name}.{action}" if action else name
    if name == "deployment_status" and _state(body, "deployment_status", "state") == "success":
        return Meaning(type_, deployed=True)
    if name == "page_build" and _state(body, "build", "status") == "built":
        return Meaning(type_, deployed=True)
    key = next((key for key in (name, name.removesuffix("s")) if isinstance(body.get(key), dict)), None)
    found = _object_of(body, key) if key is not None and name not in _NO_OBJECT else None
    if key is None or found is None:
        return Meaning(type_)
    return Meaning(type_, _news(key, found, _seconds(found.get("updated_at"), now), gone=action in _GONE))


def _of_any(body: Mapping[str, Any], now: float, deployed_types: Sequence[str]) -> Meaning:
    """Read `{type or event, timestamp, data}`: the type's last part says what was done to the object, the rest what it is."""
    type_ = _text(body.get("type") or body.get("event") or "")
    if type_ in deployed_types:
        return Meaning(type_, deployed=True)
    kind, _, action = type_.rpartition(".")
    found = next((one for one in (_object_of(body, key) for key in ("data", "object", "payload")) if one is not None), None)
    if found is None or not kind:
        return Meaning(type_)
    at = next((found[name] for name in ("updated_at", "updated", "version") if name in found), body.get("timestamp"))
    return Meaning(type_, _news(kind, found, _seconds(at, now), gone=action in _GONE))


def _news(kind: str, found: Mapping[str, Any], version: float, *, gone: bool) -> ObjectNews:
    return ObjectNews(kind, _text(found["id"]), version, None if gone else msgspec.json.encode(found).decode())


def _text(value: Any) -> str:
    """Return a name as text that PostgreSQL can store."""
    return str(value).replace("\x00", "\ufffd")


def _object_of(holder: Any, key: str) -> dict[str, Any] | None:
    """Return a member that is an object with an id, by which it can be known again."""
    found = holder.get(key) if isinstance(holder, Mapping) else None
    known = found.get("id") if isinstance(found, dict) else None
    return found if isinstance(known, str | int) and not isinstance(known, bool) and known != "" else None


def _state(body: Mapping[str, Any], key: str, name: str) -> Any:
    found = body.get(key)
    return found.get(name) if isinstance(found, dict) else None


def _seconds(value: Any, otherwise: float) -> float:
    """Return a time, or a number that grows, as seconds since 1970."""
    try:
        if isinstance(value, msgspec.Raw):
            return float(bytes(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return otherwise


def decide_action(stored: Stored | None, news: ObjectNews) -> str | None:
    """Return what news of an object is: `created`, `updated`, `deleted`, `unchanged`, or None when it came too late.

    What is older than what is known came late; of two as old the deletion counts. What is newer and says the same is
    remembered as newer, so that what lies between comes late.
    """
    if stored is None:
        return "created" if news.data is not None else "deleted"
    if news.version < stored.version:
        return None
    if stored.data is None and news.data is None:
        return "unchanged"
    if stored.data is None:
        return "created" if news.version > stored.version else None
    if news.data is None:
        return "deleted"
    return "unchanged" if json.loads(news.data) == json.loads(stored.data) else "updated"
