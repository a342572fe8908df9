"""Integrations: notices of other systems, verified before anything is stored, as events.

These are webhooks that Tidings receives, not those it sends. Stripe's are verified by Stripe's own package, the others by the
code that our SDK gives to receivers.
"""

import hashlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tidings.client.verify import VerificationError, verify, verify_signature
from tidings.core.errors import UnauthorizedError
from tidings.core.limits import text_bytes
from tidings.core.notice import DEPLOYED_TYPES, Meaning, ObjectNews, decide_action, meaning_of, read_body
from tidings.sources.publish import new_event
from tidings.store import integrations, outbox
from tidings.store.database import Connection
from tidings.store.integrations import Integration

MAX_NOTICE_ID_LENGTH = 200


class Notice(msgspec.Struct, frozen=True):
    """A verified notice."""

    id: str
    digest: bytes
    body: dict[str, Any]
    meaning: Meaning


def verified(integration: Integration, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
    """Check that a notice is genuine and fresh, and read it.

    Args:
        headers: Their names in lower case.

    Raises:
        InvalidInputError: It is genuine, but no JSON object.
        UnauthorizedError: It was not signed with the integration's secret, or too long ago.
    """
    try:
        _VERIFIERS[integration.platform](integration, headers, body, now.timestamp())
    except (VerificationError, ValueError) as error:
        raise UnauthorizedError(f"The notice is not verified: {error}") from error
    said = read_body(body)
    digest = hashlib.sha256(_signed_time(integration, headers) + body).digest()
    known_types = integration.settings.deployed_types or DEPLOYED_TYPES
    meaning = meaning_of(integration.platform, said, headers, now.timestamp(), known_types)
    return Notice(_notice_id(integration, headers, said, body), digest, said, meaning)


def _notice_id(integration: Integration, headers: Mapping[str, str], said: Mapping[str, Any], body: bytes) -> str:
    match integration.platform:
        case "github":
            found = headers.get("x-github-delivery")
        case "standard":
            found = headers.get("webhook-id")
        case "hmac" if integration.settings.id_header is not None:
            found = headers.get(integration.settings.id_header.lower())
        case _:
            found = said["id"] if isinstance(said.get("id"), str) else None
    is_fit = found and len(found) <= MAX_NOTICE_ID_LENGTH and "\x00" not in found
    return found if found and is_fit else hashlib.sha256(body).hexdigest()


def _signed_time(integration: Integration, headers: Mapping[str, str]) -> bytes:
    """Return the signature where a time is in it, which tells the same content said again from one that was overheard."""
    has_time = integration.platform == "hmac" and integration.settings.format == "t=,v1="
    own = {"stripe": "stripe-signature", "standard": "webhook-signature"}
    name = integration.settings.header if has_time else own.get(integration.platform)
    return b"" if name is None else headers.get(name.lower(), "").encode()


def _verify_stripe(integration: Integration, headers: Mapping[str, str], body: bytes, now: float) -> None:
    # docs.stripe.com/webhooks/signature: t=<time>,v1=<hex>, perhaps several of v1; schemes but v1 are not ours to believe.
    signature = headers.get("stripe-signature", "")
    if not signature.startswith("t=") or not verify_signature(body, signature, integration.secret, now=now):
        raise VerificationError("stripe-signature is not a signature of this body by this secret, or too old.")


def _verify_github(integration: Integration, headers: Mapping[str, str], body: bytes, now: float) -> None:
    signature = headers.get("x-hub-signature-256", "")
    if not signature.startswith("sha256=") or not verify_signature(body, signature, integration.secret, now=now):
        raise VerificationError("x-hub-signature-256 is not a signature of this body by this secret.")


def _verify_standard(integration: Integration, headers: Mapping[str, str], body: bytes, now: float) -> None:
    verify(body, headers, integration.secret, now=now)


def _verify_hmac(integration: Integration, headers: Mapping[str, str], body: bytes, now: float) -> None:
    settings = integration.settings
    signature = headers.get(settings.header.lower(), "")
    if settings.format == "base64":
        is_signed = verify_signature(body, _hex_of(signature), integration.secret, now=now)
    else:
        start = {"hex": "", "sha256=hex": "sha256=", "t=,v1=": "t="}[settings.format]
        is_plain = settings.format != "hex" or "=" not in signature  # the format that was agreed, no other
        is_signed = signature.startswith(start) and is_plain and verify_signature(body, signature, integration.secret, now=now)
    if not is_signed:
        raise VerificationError(f"{settings.header} is not a signature of this body by this secret, or too old.")


def _hex_of(signature: str) -> str:
    return b64decode(signature, validate=True).hex()


_VERIFIERS = {"stripe": _verify_stripe, "github": _verify_github, "standard": _verify_standard, "hmac": _verify_hmac}


# What becomes of a notice ----------------------------------------------------------------------------------------------


async def absorb(connection: Connection, integration: Integration, notice: Notice, now: datetime) -> bool:
    """Take in a verified notice, in the caller's transaction; False: it was known already.

    Raises:
        UnauthorizedError: The same content came under another id before: somebody sends again what was overheard.
    """
    if not await integrations.remember_notice(
        connection, integration.id, notice.id, notice.digest, now, type_=notice.meaning.type
    ):
        if await integrations.id_of_digest(connection, integration.id, notice.digest) not in {None, notice.id}:
            raise UnauthorizedError("The notice is not verified: the same content was received before under another id.")
        return False
    about = {"id": notice.id, "type": notice.meaning.type}
    if notice.meaning.deployed:
        await _tell(connection, integration, "site.deployed", {"notice": about, "deployment": notice.body}, now)
    elif notice.meaning.news is None:
        await _tell(connection, integration, "integration.received", {"notice": about, "body": notice.body}, now)
    else:
        await _take_news(connection, integration, notice.meaning.news, now, notice=about)
    return True


async def _take_news(
    connection: Connection, integration: Integration, news: ObjectNews, now: datetime, *, notice: dict[str, Any] | None
) -> tuple[str | None, str | None]:
    """Bring an object up to date and tell what is new of it; returns what `decide_action` says, and what is told."""
    stored = await integrations.lock_object(connection, integration.id, news)
    action = decide_action(stored, news)
    if action is None:
        return None, None
    await integrations.put_object(connection, integration.id, news, now)
    if action == "unchanged":
        return action, None
    before = stored.data if stored is not None else None
    told = news.data if news.data is not None else before
    said = {
        "object_type": news.type,
        "object_id": news.id,
        "object": _raw(told),
        "previous": _raw(before) if action == "updated" else None,
        "notice": notice,
    }
    await _tell(connection, integration, f"integration.object.{action}", said, now)
    return action, told


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())


async def sync(
    connection: Connection, integration: Integration, objects: Sequence[ObjectNews], now: datetime, *, is_complete: bool
) -> tuple[dict[str, int], list[int]]:
    """Take in objects as they are now, in the caller's transaction, and tell what is new of them and that this is done.

    Args:
        is_complete: These are all of their types: objects that are missing were deleted.

    Returns:
        How many were created, updated, deleted and unchanged; and of each that is told, how many bytes the object has.
    """
    counts = dict.fromkeys(("created", "updated", "deleted", "unchanged"), 0)
    sizes: list[int] = []
    given = {(news.type, news.id) for news in objects}
    gone: list[ObjectNews] = []
    if is_complete:
        known = await integrations.object_ids(connection, integration.id, sorted({type_ for type_, _ in given}))
        gone = [ObjectNews(*key, now.timestamp(), None) for key in sorted(known - given)]
    for news in sorted([*objects, *gone], key=lambda one: (one.type, one.id)):
        action, told = await _take_news(connection, integration, news, now, notice=None)
        counts[action or "unchanged"] += 1
        if action not in {None, "unchanged"}:
            sizes.append(text_bytes(told))
    await _tell(connection, integration, "integration.synced", counts, now)
    return counts, sizes


async def tell_change(connection: Connection, integration: Integration, action: str, now: datetime) -> None:
    """Tell that an integration was connected, updated or disconnected, in the caller's transaction."""
    await _tell(connection, integration, f"integration.{action}", {"enabled": integration.enabled}, now)


async def _tell(connection: Connection, integration: Integration, type_: str, said: Mapping[str, Any], now: datetime) -> None:
    about = {"integration": integration.name, "platform": integration.platform}
    record = msgspec.json.encode(about | dict(said)).decode()
    event = new_event(integration.group_id, "integrations", type_, record, now, subject=integration.name)
    await outbox.publish(connection, [event])
