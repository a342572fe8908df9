"""Everything encrypted at rest, encrypted anew under another SECRET_KEY."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from tidings.core.errors import ConflictError, StartupError
from tidings.store import audit_chain
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

logger = logging.getLogger("tidings.rekey")

PAGE = 1000  # rows read and written at a time

_SQL = load("rekey")
_Reseal = Callable[[bytes, UUID], bytes]


async def rekey(connection: Connection, old: SecretBox, new: SecretBox) -> int:
    """Encrypt under the new box every secret and key that the old one reads, and return how many rows that were.

    In the caller's transaction: either all of them and the key's fingerprint change, or nothing does. What the old key does not
    read is left as it is, and counted in the log: a secret's webhook, integration or bin stays set aside, a signing key
    out of use. It can be read again only under the key that it was encrypted with.

    Raises:
        ConflictError: A worker is running; it would no longer be able to read what it needs.
        StartupError: The old key is not the one in use: nothing is changed.
    """

    def reseal(sealed: bytes, owner: UUID) -> bytes:
        return new.seal(old.open(sealed, owner), owner)

    if workers := await connection.fetchval(_SQL["live_workers"]):
        raise ConflictError(f"{workers} worker(s) are running with the present key. Stop them, then change it.")
    # Locked: of two that change it at once, the other finds this one's key, not rows that it cannot read.
    if await connection.fetchval(_SQL["lock_fingerprint"]) != old.fingerprint:
        raise StartupError("SECRET_KEY is not the one in use: set TIDINGS_SECRET_KEY to the present key. Nothing was changed.")
    keys = await connection.fetch(_SQL["signing_keys"])
    integrations = await connection.fetch(_SQL["integrations"])
    bins = await connection.fetch(_SQL["bins"])
    count = 0
    for row in keys:
        with suppress(StartupError):
            await connection.execute(_SQL["reseal_signing_key"], row["id"], reseal(row["private_key"], row["id"]))
            count += 1
    for row in integrations:
        with suppress(StartupError):
            await connection.execute(_SQL["reseal_integration"], row["id"], reseal(row["secret"], row["id"]))
            count += 1
    for row in bins:
        with suppress(StartupError):
            await connection.execute(_SQL["reseal_bin"], row["id"], reseal(row["secret"], row["id"]))
            count += 1
    await audit_chain.reseal_key(connection, old, new)
    if unread := len(keys) + len(integrations) + len(bins) - count:
        logger.warning("%d keys or secrets of integrations and bins cannot be read and stay as they are", unread)
    webhooks = await _reseal_webhooks(connection, reseal)
    versions = await _reseal_versions(connection, reseal)
    count += await _reseal_payloads(connection, reseal)
    await connection.execute(_SQL["set_fingerprint"], new.fingerprint)
    return webhooks + versions + count


async def _reseal_webhooks(connection: Connection, reseal: _Reseal) -> int:
    count, last = 0, UUID(int=0)
    while rows := await connection.fetch(_SQL["webhooks"], last, PAGE):
        last = rows[-1]["id"]
        await connection.executemany(_SQL["reseal_webhook"], anew := _resealed(rows, ("id",), reseal))
        count += len(anew)
    return count


async def _reseal_payloads(connection: Connection, reseal: _Reseal) -> int:
    """What redaction rules seal, and the subjects of erasures that are not over."""
    count = 0
    for read, write in (
        (_SQL["payloads"], _SQL["reseal_payload"]),
        (_SQL["set_aside"], _SQL["reseal_set_aside"]),
        (_SQL["subjects"], _SQL["reseal_subject"]),
    ):
        last = UUID(int=0)
        while rows := await connection.fetch(read, last, PAGE):
            last = rows[-1]["id"]
            for row in rows:
                with suppress(StartupError):
                    await connection.execute(write, row["id"], reseal(row["sealed"], row["id"]))
                    count += 1
    return count


async def _reseal_versions(connection: Connection, reseal: _Reseal) -> int:
    count, last = 0, (UUID(int=0), 0)
    while rows := await connection.fetch(_SQL["versions"], *last, PAGE):
        last = (rows[-1]["id"], rows[-1]["version"])
        await connection.executemany(_SQL["reseal_version"], anew := _resealed(rows, ("id", "version"), reseal))
        count += len(anew)
    return count


def _resealed(rows: Sequence[Any], key: Sequence[str], reseal: _Reseal) -> list[tuple[Any, ...]]:
    """Return the keys of rows with their secrets encrypted anew, without the rows that cannot be read."""
    resealed = []
    for row in rows:
        with suppress(StartupError):
            sealed = [row["secret"], row["previous_secret"], row["sealed_credentials"]]
            anew = [None if one is None else reseal(one, row["id"]) for one in sealed]
            resealed.append((*(row[name] for name in key), *anew))
    if unread := len(rows) - len(resealed):
        logger.warning("the secrets of %d webhooks or versions cannot be read and stay as they are", unread)
    return resealed
