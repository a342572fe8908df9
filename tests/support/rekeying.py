"""Changing SECRET_KEY as the command does, without its record."""

from tidings.store.database import Database
from tidings.store.rekey import rekey
from tidings.store.secrets import SecretBox


async def rekeyed(database: Database, old: SecretBox, new: SecretBox) -> int:
    """Encrypt everything anew, in one transaction; return how much that was."""
    async with database.transaction() as connection:
        return await rekey(connection, old, new)
