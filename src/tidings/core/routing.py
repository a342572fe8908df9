"""Which webhooks an event goes to."""

from collections.abc import Iterable
from uuid import UUID

from tidings.core.event import Event
from tidings.core.webhook import Webhook

# Published types are free text; past this many distinct kinds of event the memory of past answers starts anew.
_REMEMBERED_KINDS = 10_000


class Routes:
    """The subscriptions of one moment, as an index from kind of event to webhooks.

    Answers are remembered per kind of event (group, type, table, operation), which is all that a filter reads; so
    routing costs a dictionary lookup, however many webhooks there are.
    """

    def __init__(self, webhooks: Iterable[Webhook], version: int) -> None:
        self.version = version
        self.by_id: dict[UUID, Webhook] = {webhook.id: webhook for webhook in webhooks}
        self._by_group: dict[str, list[Webhook]] = {}
        for webhook in self.by_id.values():
            if webhook.enabled:
                self._by_group.setdefault(webhook.group_id, []).append(webhook)
        self._answers: dict[tuple[str | None, ...], tuple[UUID, ...]] = {}

    def match(self, event: Event) -> tuple[UUID, ...]:
        """Return the enabled webhooks of the event's group that want it.

        An event that is meant for one webhook goes to that one alone, whatever it wants. A job's tick goes to the webhook that
        carries the job's requests, unless its receiver had it disabled, and to those that want ticks as well.
        """
        if event.webhook_id is None:
            return self._subscribers(event)
        target = self.by_id.get(event.webhook_id)
        if event.source != "cron":
            return (target.id,) if target is not None else ()
        return (*((target.id,) if target is not None and target.enabled else ()), *self._subscribers(event))

    def _subscribers(self, event: Event) -> tuple[UUID, ...]:
        kind = (event.group_id, event.type, event.table_schema, event.table_name, event.operation)
        answer = self._answers.get(kind)
        if answer is None:
            answer = tuple(webhook.id for webhook in self._by_group.get(event.group_id, ()) if webhook.wants(event))
            if len(self._answers) >= _REMEMBERED_KINDS:
                self._answers.clear()
            self._answers[kind] = answer
        return answer
