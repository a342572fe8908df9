"""Tidings: webhooks for people whose data lives in PostgreSQL.

A row changes, and in the same transaction a trigger writes it to an outbox. A dispatcher routes what is committed there
to webhooks, a deliverer sends each delivery signed, a recorder keeps what came of it. Nothing committed is lost, nothing
rolled back is sent, and the change itself never waits for any of this.

Follow one delivery, front to back: `store/migrations/0001_engine.sql` (capture), `worker/batch_router.py`,
`core/routing.py`, `worker/attempts.py`, `transport/sender.py`, `core/outcome.py`, `worker/recorder.py`.

From an application: `Client` and `AsyncClient` manage webhooks and publish events, `publish` and `publish_async` do that in the
application's own transaction, `within` and `within_async` say there that a delivery led to it, `verify` checks what a receiver
got.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidings.client import AsyncClient, Client, publish, publish_async, verify, within, within_async

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__", "publish", "publish_async", "verify", "within", "within_async"]


def __getattr__(name: str) -> Any:
    """Import the SDK when it is asked for: the commands and the server do without it."""
    if name in __all__:
        from tidings import client

        return getattr(client, name)
    raise AttributeError(f"module 'tidings' has no attribute {name!r}")
