"""Request bins: make them, say what they answer and what they verify with, read what came."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.audit import Action
from tidings.core.bin import KEPT_FOR, MAX_BINS, Answer, Bin, check_answer, check_name
from tidings.core.claims import KNOWN, STANDARD, TOKEN
from tidings.core.errors import ConflictError, InvalidInputError, StartupError
from tidings.core.signature import check_text_secret
from tidings.core.token import PUBLIC_KEY_PREFIX, public_key_of
from tidings.core.webhook import Signature, check_signature
from tidings.operations import audit
from tidings.operations.lookups import found, there
from tidings.operations.services import Services
from tidings.operations.webhooks.secret_forms import check_secret
from tidings.profiles import PROFILES
from tidings.store import bins, webhooks
from tidings.store.bins import Kept
from tidings.store.database import Connection

MAX_NUMBER = 2**63 - 1


class BinChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a bin: what it answers, and what verifies: a webhook's secret, or a profile and a secret."""

    name: str | UnsetType = UNSET
    status: int | UnsetType = UNSET
    delay_seconds: float | UnsetType = UNSET
    body: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    profile: str | None | UnsetType = UNSET
    secret: str | None | UnsetType = UNSET
    signature: dict[str, Any] | None | UnsetType = UNSET
    webhook_id: UUID | None | UnsetType = UNSET


class _Verifying(msgspec.Struct, frozen=True):
    """What the signatures of requests are verified with: a profile and a secret, or a webhook's; nothing: they are not."""

    profile: str | None = None
    signature: Signature | None = None
    secret: str | None = None
    webhook_id: UUID | None = None


async def create(services: Services, asked: BinChange) -> Bin:
    """Make a bin.

    Raises:
        ConflictError: The group has as many as it may.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such webhook.
    """
    now = services.clock.now()
    made = _answering(Bin(uuid4(), services.group_id, "", Answer(), now, now, now), asked)
    wanted = _verifying(_Verifying(), asked)
    async with services.database.transaction() as connection:
        if await bins.count(connection, services.group_id, MAX_BINS) >= MAX_BINS:
            raise ConflictError(f"The group has {MAX_BINS} bins, which is all it may have. Delete one that nobody needs.")
        await _check_webhook(services, connection, wanted)
        made = _with(made, wanted)
        await bins.insert(connection, made, _sealed(services, made, wanted))
        await audit.note(services, connection, Action.BIN_CREATED, made.id, made.name, after=_told(made, None))
    return made


async def list_bins(services: Services, *, limit: int, offset: int = 0) -> list[Bin]:
    """Return a page of the group's bins, newest first."""
    async with services.database.connection() as connection:
        return await bins.list_bins(connection, services.group_id, limit=limit, offset=offset)


async def read(services: Services, bin_id: UUID) -> Bin:
    """Return a bin.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        return await _bin(services, connection, bin_id)


async def change(services: Services, bin_id: UUID, asked: BinChange) -> Bin:
    """Change what a bin answers, or what it verifies with. What came before keeps what was found of it.

    Raises:
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such bin, or webhook.
    """
    is_verifying = any(getattr(asked, name) is not UNSET for name in _Verifying.__struct_fields__)
    async with services.database.transaction() as connection:
        before = there(await bins.lock(connection, services.group_id, bin_id), _not_here(bin_id))
        after = msgspec.structs.replace(_answering(before.bin, asked), updated_at=services.clock.now())
        sealed = before.sealed
        if is_verifying:
            wanted = _verifying(_verified_before(services, before, asked), asked)
            await _check_webhook(services, connection, wanted)
            after = _with(after, wanted)
            sealed = _sealed(services, after, wanted)
        await bins.update(connection, after, sealed)
        states: dict[str, Any] = {"before": _told(before.bin, before.sealed), "after": _told(after, sealed)}
        await audit.note(services, connection, Action.BIN_CHANGED, bin_id, after.name, **states)
    return after


async def remove(services: Services, bin_id: UUID) -> None:
    """Delete a bin with all that came to it.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        gone = await _bin(services, connection, bin_id)
        there(await bins.delete(connection, services.group_id, bin_id), _not_here(bin_id))
        await audit.note(services, connection, Action.BIN_DELETED, bin_id, gone.name, before=_told(gone, None))


async def clear(services: Services, bin_id: UUID) -> None:
    """Take away what came to a bin.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        found = await _bin(services, connection, bin_id)
        await bins.clear(connection, bin_id)
        await audit.note(services, connection, Action.BIN_EMPTIED, bin_id, found.name)


async def list_requests(
    services: Services, bin_id: UUID, *, limit: int, before: int | None = None, after: int | None = None
) -> list[Kept]:
    """Return what came to a bin, newest first; with `after` what came later than that, oldest first.

    Raises:
        InvalidInputError: Both are given.
        NotFoundError: There is no such bin.
    """
    if before is not None and after is not None:
        raise InvalidInputError("after", "after does not go with before: write one of them.")
    async with services.database.connection() as connection:
        await _bin(services, connection, bin_id)
        return await bins.list_requests(
            connection, bin_id, since=_since(services), limit=limit, before=_within(before), after=_within(after)
        )


async def page_of_requests(services: Services, bin_id: UUID, *, limit: int, before: int | None) -> list[Kept]:
    """Return what came to a bin, newest first, without bodies: for a list of them.

    Raises:
        NotFoundError: There is no such bin.
    """
    async with services.database.connection() as connection:
        await _bin(services, connection, bin_id)
        return await bins.list_requests(
            connection, bin_id, since=_since(services), limit=limit, before=_within(before), with_bodies=False
        )


async def read_request(services: Services, bin_id: UUID, number: int) -> Kept:
    """Return one request that came to a bin.

    Raises:
        NotFoundError: There is no such bin, or it does not keep the request any more.
    """
    async with services.database.connection() as connection:
        await _bin(services, connection, bin_id)
        kept = await bins.get_request(connection, bin_id, _within(number) or 0, since=_since(services))
    return there(kept, f"The bin has no request {number}: it keeps the last 500, for a day.")


async def counts(services: Services, bin_ids: Sequence[UUID]) -> dict[tuple[str, UUID | None], int]:
    """Return how many requests came to bins of any groups, by group and id; one that is gone is missing."""
    async with services.wide.connection() as connection:
        return await bins.counts(connection, bin_ids)


def _told(one: Bin, sealed: bytes | None) -> dict[str, Any]:
    """Return a bin for the audit, which hides what it answers, as every body, and its secret."""
    return msgspec.structs.asdict(one) | msgspec.structs.asdict(one.answer) | {"answer": None, "secret": sealed}


def _since(services: Services) -> datetime:
    return services.clock.now() - KEPT_FOR


def _within(number: int | None) -> int | None:
    return None if number is None else min(max(number, 0), MAX_NUMBER)


async def _bin(services: Services, connection: Connection, bin_id: UUID) -> Bin:
    return there(await bins.get(connection, services.group_id, bin_id), _not_here(bin_id)).bin


def _not_here(bin_id: UUID) -> str:
    return f"There is no bin {bin_id}."


# What was asked, checked ---------------------------------------------------------------------------------------------------


def _answering(before: Bin, asked: BinChange) -> Bin:
    """Return a bin with what it is asked to answer, and its name."""
    given = {
        "status": asked.status, "delay_seconds": asked.delay_seconds, "body": asked.body, "content_type": asked.content_type
    }  # fmt: skip
    answer = msgspec.structs.replace(before.answer, **{name: value for name, value in given.items() if value is not UNSET})
    name = before.name if asked.name is UNSET else check_name(asked.name)
    return msgspec.structs.replace(before, name=name, answer=check_answer(answer))


def _verifying(before: _Verifying, asked: BinChange) -> _Verifying:
    """Return what is verified with. A webhook and a secret of one's own take each other's place.

    Raises:
        InvalidInputError: With the field and what to write.
    """
    given = {name: value for name in ("profile", "secret", "signature") if (value := getattr(asked, name)) is not UNSET}
    own = next((name for name, value in given.items() if value is not None), None)
    if isinstance(asked.webhook_id, UUID):
        if own is not None:
            raise InvalidInputError(own, f"{own} does not go with webhook_id, whose webhook says how it signs. Leave one out.")
        return _Verifying(webhook_id=asked.webhook_id)
    if own is None:  # nothing, or that something shall go
        webhook_id = before.webhook_id if asked.webhook_id is UNSET else None
        if not given:
            return msgspec.structs.replace(before, webhook_id=webhook_id)
        if "secret" in given or "profile" in given:
            return _Verifying(webhook_id=webhook_id)
    if "signature" in given:
        given["signature"] = _signature(given["signature"])
    after = msgspec.structs.replace(before, webhook_id=None, **given)
    if after.profile is None:
        after = msgspec.structs.replace(after, profile="standard")
    check_verified(str(after.profile), after.secret, after.signature)
    return after


def check_verified(profile: str, secret: str | None, signature: Signature | None) -> None:
    """Refuse what nothing can be verified with.

    Raises:
        InvalidInputError: With the field and what to write.
    """
    if profile not in KNOWN:
        raise InvalidInputError("profile", f"profile is {profile!r}; write one of {', '.join(KNOWN)}.")
    if profile == TOKEN and signature is None:
        if secret is not None:
            _check_public(
                secret, "For profile vski secret is the public key (whpk_…) of its tokens; without: this installation's."
            )
    elif secret is None:
        raise InvalidInputError("secret", f"secret is required: what profile {profile} signs with. Or name a webhook_id.")
    elif signature is not None:
        check_text_secret(secret)
    elif profile in STANDARD and secret.startswith(PUBLIC_KEY_PREFIX):
        _check_public(secret, "secret is no public key: it is whpk_ and the base64 of 32 bytes.")
    else:
        check_secret(secret, PROFILES[profile])


def _check_public(text: str, sentence: str) -> None:
    if not text.startswith(PUBLIC_KEY_PREFIX):
        raise InvalidInputError("secret", sentence)
    try:
        public_key_of(text)
    except ValueError:
        raise InvalidInputError("secret", sentence) from None


def _signature(given: dict[str, Any] | None) -> Signature | None:
    if given is None:
        return None
    try:
        signature = msgspec.convert(given, Signature)
    except msgspec.ValidationError as error:
        said = f'signature: {error}. Write {{"header": "X-Signature", "format": "hex"}}.'
        raise InvalidInputError("signature", said) from error
    check_signature(signature)
    if len(signature.header) > 200:
        raise InvalidInputError("signature.header", "signature.header is longer than 200 characters.")
    return signature


def _verified_before(services: Services, before: bins.Stored, asked: BinChange) -> _Verifying:
    """Return what a bin verifies with now.

    Raises:
        ConflictError: Its secret cannot be read, and no other is given.
    """
    one, secret = before.bin, None
    if asked.secret is UNSET and not isinstance(asked.webhook_id, UUID):
        try:
            secret = before.secret(services.box)
        except StartupError as error:
            raise ConflictError(f"{error.message} Write secret anew in the same change.") from error
    return _Verifying(one.profile, one.signature, secret, one.webhook_id)


async def _check_webhook(services: Services, connection: Connection, wanted: _Verifying) -> None:
    if wanted.webhook_id is not None:
        found(await webhooks.get_webhook(connection, services.group_id, wanted.webhook_id), wanted.webhook_id)


def _with(one: Bin, wanted: _Verifying) -> Bin:
    return msgspec.structs.replace(
        one,
        profile=wanted.profile,
        signature=wanted.signature,
        has_secret=wanted.secret is not None,
        webhook_id=wanted.webhook_id,
    )


def _sealed(services: Services, one: Bin, wanted: _Verifying) -> bytes | None:
    return None if wanted.secret is None else services.box.seal(wanted.secret, one.id)
