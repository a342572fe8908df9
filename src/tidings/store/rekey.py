"""Everything encrypted at rest, encrypted anew under another SECRET_KEY."""

from tidings.core.errors import ConflictError
from tidings.store.database import Database
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

_SQL = load("rekey")


async def rekey(database: Database, old: SecretBox, new: SecretBox) -> int:
    """Encrypt every secret and key under the new box, all or nothing, and return how many that were.

    Raises:
        ConflictError: A worker is running; it would no longer be able to read what it needs.
        StartupError: The old key is not the one in use.
    """
    async with database.transaction() as connection:
        if workers := await connection.fetchval(_SQL["live_workers"]):
            raise ConflictError(f"{workers} worker(s) are running with the present key. Stop them, then change it.")
        webhooks = await connection.fetch(_SQL["webhooks"])
        keys = await connection.fetch(_SQL["signing_keys"])
        integrations = await connection.fetch(_SQL["integrations"])
        for row in webhooks:
            previous = row["previous_secret"]
            await connection.execute(
                _SQL["reseal_webhook"],
                row["id"],
                new.seal(old.open(row["secret"], row["id"]), row["id"]),
                None if previous is None else new.seal(old.open(previous, row["id"]), row["id"]),
            )
        for row in keys:
            await connection.execute(
                _SQL["reseal_signing_key"], row["id"], new.seal(old.open(row["private_key"], row["id"]), row["id"])
            )
        for row in integrations:
            resealed = new.seal(old.open(row["secret"], row["id"]), row["id"])
            await connection.execute(_SQL["reseal_integration"], row["id"], resealed)
        await connection.execute(_SQL["set_fingerprint"], new.fingerprint)
    return len(webhooks) + len(keys) + len(integrations)
