"""The ed25519 keys this installation signs with: made once, kept encrypted, published by their public halves."""

import logging
import secrets
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings.core.errors import NotFoundError, StartupError
from tidings.core.signature import InstanceKeys, SigningKey
from tidings.store.database import Connection, Database
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

logger = logging.getLogger("tidings.signing_keys")

_SQL = load("signing_keys")
PURPOSES = ("webhooks", "tokens")


class Published(msgspec.Struct, frozen=True):
    """A key whose signatures verify.

    Attributes:
        signs_from: When it begins to sign.
        has_begun: It signs, or has.
        until: When it is published no more; None: no other key has followed.
    """

    key: SigningKey
    purpose: str
    signs_from: datetime
    has_begun: bool
    until: datetime | None


class KeyRing(msgspec.Struct):
    """The keys of an installation, as they were read last. `refresh` brings them up to date, for all who hold the ring.

    Attributes:
        current: What signs now.
        published: Every key whose signatures verify, or will, the last to sign first.
        read_at: When somebody who asked for them had them read; whoever asks writes it.
    """

    current: InstanceKeys
    published: tuple[Published, ...]
    read_at: datetime | None = None


async def load_key_ring(database: Database, box: SecretBox, *, issuer: str) -> KeyRing:
    """Read the keys, making those that are missing.

    Args:
        issuer: Who the tokens say has signed them.

    Raises:
        StartupError: They were encrypted under another SECRET_KEY.
    """
    async with database.transaction() as connection:
        await connection.execute(_SQL["lock"])
        for purpose in PURPOSES:
            key_id, sealed = _made(box)
            await connection.execute(_SQL["make"], key_id, purpose, sealed)
        return await _read(connection, box, issuer, {})


async def refresh(database: Database, box: SecretBox, ring: KeyRing) -> None:
    """Bring a ring up to date: with keys that were made elsewhere, and with those whose time to sign has come.

    Raises:
        StartupError: They were encrypted under another SECRET_KEY.
    """
    known = {one.key.id: one.key for one in ring.published}
    async with database.transaction() as connection:
        fresh = await _read(connection, box, ring.current.issuer, known)
    ring.published = fresh.published
    if fresh.current.signer_id != ring.current.signer_id:
        ring.current = fresh.current


async def add_following(connection: Connection, box: SecretBox, *, wait_seconds: int, keep_seconds: int) -> bool:
    """Make keys that follow those there are, unless some wait for their time already.

    Args:
        wait_seconds: Until they sign; they are published from now on.
        keep_seconds: How long after that the keys before them are published.

    Returns:
        Whether they were made.
    """
    await connection.execute(_SQL["lock"])
    if not all(row["has_begun"] for row in await connection.fetch(_SQL["all"])):
        return False
    made = []
    for purpose in PURPOSES:
        key_id, sealed = _made(box)
        await connection.execute(_SQL["add"], key_id, purpose, sealed, wait_seconds)
        made.append(key_id)
    await connection.execute(_SQL["retire"], made, wait_seconds, keep_seconds)
    return True


def _made(box: SecretBox) -> tuple[UUID, bytes]:
    key_id = uuid4()
    return key_id, box.seal(secrets.token_bytes(32).hex(), key_id)


async def _read(connection: Connection, box: SecretBox, issuer: str, known: Mapping[str, SigningKey]) -> KeyRing:
    """Read the keys, opening those that are not known yet and are published or sign."""
    rows = await connection.fetch(_SQL["all"])
    signing: dict[str, UUID] = {}
    for row in rows:
        if row["has_begun"]:
            signing.setdefault(row["purpose"], row["id"])
    keys = {}
    for row in rows:
        signs = row["id"] in signing.values()
        if not (signs or row["is_published"]):
            continue
        try:
            keys[row["id"]] = known.get(str(row["id"])) or _opened(box, row["id"], row["private_key"])
        except StartupError as error:
            if signs:
                raise
            logger.error("the signing key %s is not published: %s", row["id"], error.message)  # noqa: TRY400 - told whole
    published = tuple(
        Published(keys[row["id"]], row["purpose"], row["signs_from"], row["has_begun"], row["published_until"])
        for row in rows
        if row["is_published"] and row["id"] in keys
    )
    webhooks, tokens = signing["webhooks"], signing["tokens"]
    signer_id = await connection.fetchval(_SQL["number_signer"], webhooks, tokens, issuer)
    return KeyRing(InstanceKeys(keys[webhooks], keys[tokens], issuer, signer_id), published)


async def load_signer(connection: Connection, box: SecretBox, signer_id: int) -> InstanceKeys:
    """Return what this installation signed with under a number, as `load_key_ring` gave it then.

    Raises:
        NotFoundError: There is no such number.
        StartupError: The keys were encrypted under another SECRET_KEY.
    """
    row = await connection.fetchrow(_SQL["signer"], signer_id)
    if row is None:
        raise NotFoundError(f"There is no signer {signer_id}; the installation that made the attempt had other keys.")
    webhooks = _opened(box, row["webhooks_key"], row["webhooks_private_key"])
    tokens = _opened(box, row["tokens_key"], row["tokens_private_key"])
    return InstanceKeys(webhooks, tokens, row["issuer"], signer_id)


def _opened(box: SecretBox, key_id: UUID, sealed: bytes) -> SigningKey:
    text = box.open(sealed, key_id)
    try:
        private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    except ValueError as error:
        raise StartupError(
            f"The signing key {key_id} cannot be read: {error}. Restore its row in tidings.signing_keys."
        ) from error
    return SigningKey(str(key_id), private)
