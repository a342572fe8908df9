"""What is kept of what clients of listeners tell, where rules hide something."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from tidings.core.redaction import kept_of_answers, redacted_event
from tidings.core.scrubbing import Keeping, keeping_of
from tidings.core.webhook import Subscription
from tidings.operations.services import Services
from tidings.store import payloads, redaction
from tidings.store.database import Connection


async def keepings(
    services: Services, connection: Connection, webhook: Subscription, event_ids: Collection[UUID]
) -> dict[UUID, Keeping]:
    """Return of events what is kept of the answers to them, where that is not all."""
    rules = (await redaction.rules_of(connection, [webhook.group_id])).get(webhook.group_id, ())
    marks = await redaction.marks(connection, list(set(event_ids)))
    hidden = [id_ for id_, (_, mark) in marks.items() if mark is not None and mark.hidden]
    wholes = await payloads.events_to_send(connection, services.box, hidden)
    found: dict[UUID, Keeping] = {}
    for id_, (type_, mark) in marks.items():
        done = kept_of_answers(mark, rules, type_, webhook.id)
        whole = wholes.get(id_)
        if done is None:
            continue
        if mark is None or not mark.hidden:
            found[id_] = Keeping(done)
        elif whole is None:  # nobody knows any more what is to be hidden
            found[id_] = Keeping(msgspec.structs.replace(done, responses="none"))
        elif (keeping := keeping_of(done, whole, redacted_event(whole, mark))) is not None:
            found[id_] = keeping
    return found
