"""The ed25519 keys this installation signs with: made once, kept encrypted, published by their public halves."""

import secrets
from uuid import UUID, uuid4

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings.core.signature import InstanceKeys, SigningKey
from tidings.store.database import Database
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

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
    keys = [(row["purpose"], _opened(box, row["id"], row["private_key"])) for row in rows]
    newest = dict(reversed(keys))
    return KeyRing(InstanceKeys(newest["webhooks"], newest["tokens"], issuer), tuple(key for _, key in keys))


def _opened(box: SecretBox, key_id: UUID, sealed: bytes) -> SigningKey:
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(box.open(sealed, key_id)))
    return SigningKey(str(key_id), private)
