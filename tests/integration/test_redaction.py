"""What rules hide is sent, and then found nowhere: in no table, no line of the log, no answer."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from tests.support.engine import Engine, engine_of
from tests.support.receiver import Receiver
from tidings.config import Config
from tidings.core.redaction import Rule
from tidings.store import redaction


async def add_rule(engine: Engine, **fields: Any) -> Rule:
    now = engine.clock.now()
    made = Rule(**{"id": uuid4(), "group_id": "default", "name": "r", "events": ("*",), "created_at": now, "updated_at": now} | fields)
    async with engine.services.database.transaction() as connection:
        await redaction.add(connection, made)
    return made


async def test_smoke(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await add_rule(engine, fields=("customer.email",), responses="none")
        await engine.publish(data='{"customer": {"email": "secret@x.example"}, "n": 1.00}')
        await engine.cycle()
        assert b"secret@x.example" in receiver.received[0].body
        (row,) = await engine.sql("select record, redaction from tidings.events")
        assert json.loads(row["record"]) == {"customer": {"email": "[redacted]"}, "n": 1}
