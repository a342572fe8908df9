"""Tidings: webhooks for people whose data lives in PostgreSQL.

A row changes, and in the same transaction a trigger writes it to an outbox. A dispatcher routes what is committed there
to webhooks, a deliverer sends each delivery signed, a recorder keeps what came of it. Nothing committed is lost, nothing
rolled back is sent, and the change itself never waits for any of this.

Follow one delivery, front to back: `store/migrations/0001_engine.sql` (capture), `worker/dispatcher.py`,
`core/routing.py`, `worker/deliverer.py`, `transport/sender.py`, `core/outcome.py`, `worker/recorder.py`.
"""

__version__ = "0.1.0"
