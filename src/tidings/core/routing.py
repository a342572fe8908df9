"""Which webhooks an event goes to.

The naive way asks the filters of every webhook of the group. Here each filter is a handful of kinds of event
(`core.webhook.Kind`), and an index leads from group and kind to the webhooks that want it. An event is of a few kinds itself:
its type, the families the type belongs to, the table or collection it is about. So matching is that many look-ups, and
applying a change costs what it changes, however many webhooks there are. The definition remains `Subscription.wants`; a test
compares both.

The shapes below are chosen by the memory of a million webhooks: ids are bytes, which the garbage collector does not visit;
who is alone with a kind has no set of its own; groups and kinds are shared.
"""

import sys
from collections import Counter
from collections.abc import Collection, Iterator
from uuid import UUID

import msgspec

from tidings.core.event import OPERATIONAL, Event
from tidings.core.filters import Kind
from tidings.core.webhook import MAX_NAME_LENGTH, Subscription

# Published types are free text; past this many answers and ids in them, the memory of past answers starts anew.
_REMEMBERED = 100_000


class Route(msgspec.Struct, frozen=True, gc=False):
    """What routing needs to know of a webhook."""

    group_id: str
    is_enabled: bool
    kinds: tuple[Kind, ...]


class Routes:
    """The subscriptions as of a version, as an index from kind of event to webhooks."""

    def __init__(self, version: int = -1) -> None:
        self.version = version
        self._routes: dict[bytes, Route] = {}
        self._wanted: dict[tuple[str, Kind], bytes | set[bytes]] = {}
        self._groups: Counter[str] = Counter()  # how many webhooks each has
        self._answers: dict[tuple[str | None, ...], tuple[UUID, ...]] = {}
        self._room = _REMEMBERED

    def __len__(self) -> int:
        """Return how many webhooks there are."""
        return len(self._routes)

    def put(self, webhook_id: UUID, route: Route) -> None:
        """Add a webhook, or replace what is known of it."""
        self.drop(webhook_id)
        key = webhook_id.bytes
        group_id = sys.intern(route.group_id)
        self._routes[key] = Route(group_id, route.is_enabled, route.kinds)
        self._groups[group_id] += 1
        for kind in route.kinds if route.is_enabled else ():
            there = self._wanted.get((group_id, kind))
            if there is None:
                self._wanted[group_id, kind] = key
            elif isinstance(there, set):
                there.add(key)
            else:
                self._wanted[group_id, kind] = {there, key}

    @property
    def ids(self) -> Iterator[UUID]:
        """The webhooks there are."""
        return (UUID(bytes=key) for key in self._routes)

    @property
    def groups(self) -> Collection[str]:
        """The groups that have webhooks."""
        return self._groups.keys()

    def drop(self, webhook_id: UUID) -> None:
        """Forget a webhook, if it is known."""
        self._forget_answers()
        key = webhook_id.bytes
        route = self._routes.pop(key, None)
        if route is None:
            return
        self._groups[route.group_id] -= 1
        if not self._groups[route.group_id]:
            del self._groups[route.group_id]
        for kind in route.kinds:
            there = self._wanted.get((route.group_id, kind))
            if isinstance(there, set):
                there.discard(key)
                if not there:
                    del self._wanted[route.group_id, kind]
            elif there == key:
                del self._wanted[route.group_id, kind]

    def match(self, event: Event) -> tuple[UUID, ...]:
        """Return the enabled webhooks of the event's group that want it, in the order of their ids.

        An event that is meant for one webhook goes to that one alone, whatever it wants. A job's tick goes to the webhook that
        carries the job's requests, unless its receiver had it disabled, and to those that want ticks as well. No webhook is
        told of itself.
        """
        target = event.webhook_id
        if target is None:
            found = self._subscribers(event)
            return found if event.source != OPERATIONAL else tuple(each for each in found if str(each) != event.subject)
        route = self._routes.get(target.bytes)
        if event.source != "cron" or event.is_test:
            return (target,) if route is not None else ()
        others = self._subscribers(event)
        if route is None or not route.is_enabled:
            return others
        return (target, *(other for other in others if other != target))

    def _subscribers(self, event: Event) -> tuple[UUID, ...]:
        asked = (event.group_id, event.source, event.type, event.table_schema, event.table_name, event.operation)
        answer = self._answers.get(asked)
        if answer is None:
            answer = self._look_up(event)
            if len(answer) >= self._room:
                self._forget_answers()
            if len(answer) < self._room:
                self._answers[asked] = answer
                self._room -= 1 + len(answer)
        return answer

    def _look_up(self, event: Event) -> tuple[UUID, ...]:
        found: set[bytes] = set()
        for kind in kinds_of(event):
            there = self._wanted.get((event.group_id, kind))
            if isinstance(there, set):
                found |= there
            elif there is not None:
                found.add(there)
        return tuple(UUID(bytes=key) for key in sorted(found))

    def _forget_answers(self) -> None:
        if self._answers:
            self._answers = {}
            self._room = _REMEMBERED


def routes_to(webhook: Subscription) -> Routes:
    """Return the routes of a world with one webhook: for those who ask what that one would hear."""
    routes = Routes()
    kinds = dict.fromkeys(kind for wanted in webhook.events for kind in wanted.kinds)
    routes.put(webhook.id, Route(webhook.group_id, webhook.enabled, tuple(kinds)))
    return routes


def kinds_of(event: Event) -> Iterator[Kind]:
    """Yield the kinds that an event is of."""
    type_ = event.type
    if event.source != OPERATIONAL:
        yield "*"
    if type_ != "*":  # no event is called so, and it would be taken for all
        yield type_
    dot = type_.find(".")
    while 0 <= dot < MAX_NAME_LENGTH:  # no family has a longer name
        yield type_[: dot + 1] + "*"
        dot = type_.find(".", dot + 1)
    if event.source == "tables" and event.operation is not None:
        yield (event.operation,)
        yield (event.operation, event.table_schema, event.table_name)
    elif event.source == "collections":
        yield (event.table_name, type_)
