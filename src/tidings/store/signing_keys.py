"""The ed25519 keys this installation signs with: made once, kept encrypted, published by their public halves."""

import logging
import secrets
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
_PURPOSES = ("webhooks", "tokens")


class KeyRing(msgspec.Struct, frozen=True):
    """The keys of an installation.

    Attributes:
        current: What signs now.
        published: Every key whose signatures should still verify, the newest first.
    """

    current: InstanceKeys
    published: tuple[SigningKey, ...]


async def load_key_ring(database: Database, box: SecretBox, *, issuer: str) -> KeyRing:
    """Read the keys, making those that are missing.

    Args:
        issuer: Who the tokens say has signed them.

    Raises:
        StartupError: They were encrypted under another SECRET_KEY.
    """
    async with database.transaction() as connection:
        await connection.execute(_SQL["lock"])
        for purpose in _PURPOSES:
            key_id = uuid4()
            sealed = box.seal(secrets.token_bytes(32).hex(), key_id)
            await connection.execute(_SQL["make"], key_id, purpose, sealed)
        rows = await connection.fetch(_SQL["all"])
        newest = {row["purpose"]: row["id"] for row in reversed(rows)}
        signer_id = await connection.fetchval(_SQL["number_signer"], newest["webhooks"], newest["tokens"], issuer)
    keys: dict[UUID, SigningKey] = {}
    for row in rows:
        try:
            keys[row["id"]] = _opened(box, row["id"], row["private_key"])
        except StartupError as error:
            if row["id"] in newest.values():
                raise
            logger.error("the signing key %s, which is not in use any more, is not published: %s", row["id"], error.message)  # noqa: TRY400 - told whole
    current = InstanceKeys(keys[newest["webhooks"]], keys[newest["tokens"]], issuer, signer_id)
    return KeyRing(current, tuple(keys.values()))


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
