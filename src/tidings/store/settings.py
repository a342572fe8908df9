"""Facts of this installation, made once and shared by every process."""

import secrets
from pathlib import Path
from typing import Any

import msgspec

from tidings.core.api_key import SECRET_BYTES, SETTINGS_KEY_ID, hash_of, write_key
from tidings.core.errors import StartupError
from tidings.store import api_keys, audit_chain
from tidings.store.database import Connection, Database
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

_SQL = load("settings")


class Installation(msgspec.Struct, frozen=True):
    """What is the same for every process of an installation.

    Attributes:
        salt: 34 bits that make this installation's event ids its own.
        admin_key_hash: SHA-256 of the admin key of the settings, in hex.
        audit_key: Stamps what people do (`core.audit_chain`).
        exact_ids_from: Milliseconds since 1970 from which on the id of a delivery begins with its event's (`core.event`).
        new_admin_key: The key itself, when it was made just now; shown once and kept nowhere.
    """

    salt: int
    admin_key_hash: str
    exact_ids_from: int
    audit_key: bytes
    new_admin_key: str | None = None


def hash_key(key: str) -> str:
    """Return what is kept of a key. Keys are long and random, so a plain hash cannot be searched back."""
    return hash_of(key).hex()


async def is_keyed(database: Database) -> bool:
    """Whether something in the database is encrypted under some key already."""
    async with database.connection() as connection:
        return await connection.fetchval(_SQL["get"], "secret_key_fingerprint") is not None


async def is_key_in_use(connection: Connection, box: SecretBox) -> bool:
    """Whether secrets are still encrypted under the key of this box."""
    return await connection.fetchval(_SQL["get"], "secret_key_fingerprint") in {None, box.fingerprint}


async def load_installation(
    database: Database, box: SecretBox, admin_key: str | None, *, key_file: Path | None = None
) -> Installation:
    """Read the installation's facts, making what is missing.

    Args:
        admin_key: As configured; it replaces the one known so far. None: keep that, or make one.
        key_file: Where the secret key was read; None: in the settings.

    Raises:
        StartupError: SECRET_KEY is not the one this database's secrets are encrypted under. Nothing was written.
    """
    made = write_key(SETTINGS_KEY_ID, secrets.token_bytes(SECRET_BYTES))
    async with database.transaction() as connection:
        await connection.execute(_SQL["make"], "secret_key_fingerprint", box.fingerprint)
        if await connection.fetchval(_SQL["get"], "secret_key_fingerprint") != box.fingerprint:
            raise _wrong_key(key_file)
        await connection.execute(_SQL["make"], "salt", str(secrets.randbits(34)))
        if admin_key is not None:
            await connection.execute(_SQL["replace"], "admin_key_hash", hash_key(admin_key))
        else:
            await connection.execute(_SQL["make"], "admin_key_hash", hash_key(made))
        salt = await connection.fetchval(_SQL["get"], "salt")
        admin_key_hash = await connection.fetchval(_SQL["get"], "admin_key_hash")
        await api_keys.put_settings_key(connection, bytes.fromhex(admin_key_hash))
        exact_ids_from = int(await connection.fetchval(_SQL["get"], "delivery_ids_by_event_since"))
    async with database.transaction() as connection:
        audit_key = await audit_chain.load_key(connection, box)
    return Installation(
        int(salt), admin_key_hash, exact_ids_from, audit_key, made if admin_key_hash == hash_key(made) else None
    )


def _wrong_key(path: Path | None) -> StartupError:
    where = "SECRET_KEY" if path is None else f"The secret key in {path}"
    return StartupError(
        f"{where} is not the one this database's secrets are encrypted under; nothing was written. "
        f"Set TIDINGS_SECRET_KEY to that key{'' if path is None else ', or bring its copy to that file'} "
        "(every process of an installation needs the same)."
    )


async def server(connection: Connection) -> Any:
    """Return which database this is, as a row: its name, PostgreSQL's version and clock, the last migration."""
    return await connection.fetchrow(_SQL["server"])
