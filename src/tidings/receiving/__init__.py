"""For receivers: verify a delivery, drop it when it came before, hand over what it says.

`tidings.receiving.fastapi`, `.flask` and `.django` make a route of it; elsewhere `handle` takes a body and headers, and says
what to answer.
"""

from tidings.client.verify import VerificationError
from tidings.receiving.answers import Answer, Seen
from tidings.receiving.async_receiver import AsyncReceiver
from tidings.receiving.async_stores import AsyncMemoryStore, AsyncRedisStore, AsyncStore
from tidings.receiving.postgres import AsyncPostgresStore, PostgresStore
from tidings.receiving.received import Received
from tidings.receiving.sync_receiver import Receiver
from tidings.receiving.sync_stores import MemoryStore, RedisStore, Store

__all__ = [
    "Answer",
    "AsyncMemoryStore",
    "AsyncPostgresStore",
    "AsyncReceiver",
    "AsyncRedisStore",
    "AsyncStore",
    "MemoryStore",
    "PostgresStore",
    "Received",
    "Receiver",
    "RedisStore",
    "Seen",
    "Store",
    "VerificationError",
]
