"""Which webhooks customers made by portal links: so many of a group are allowed."""

from uuid import UUID

from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("customer_webhooks")


async def count(connection: Connection, group_id: str) -> int:
    """Return how many webhooks customers of a group made and have. Until the transaction ends, no other one is made."""
    await connection.execute(_SQL["hold"], group_id)
    number: int = await connection.fetchval(_SQL["count"], group_id)
    return number


async def add(connection: Connection, webhook_id: UUID, group_id: str) -> None:
    """Note that a customer made a webhook."""
    await connection.execute(_SQL["add"], webhook_id, group_id)
