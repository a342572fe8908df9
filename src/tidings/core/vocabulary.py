"""What a profile calls our event types, both in what it sends and in what a subscription may name.

The same name means two things in two systems (`collection.created` is a container in one and nothing in another, `content.*` is
three events here and five there), so names are translated by the profile, never by a global alias.
"""

from collections.abc import Mapping

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.event import TEST_TYPE, Event
from tidings.core.near import did_you_mean

_ROW_ACTIONS = {"INSERT": "content.created", "UPDATE": "content.updated", "DELETE": "content.deleted"}

CONTENT_ACTIONS = {
    "create": "content.created",
    "update": "content.updated",
    "delete": "content.deleted",
    "publish": "content.published",
    "archive": "content.archived",
}


class Vocabulary(msgspec.Struct, frozen=True):
    """One system's names.

    Attributes:
        sent: Our type to the name it is sent under. Types that are missing are not sent. None: every type, as it is.
        free: Families whose types are sent as they are, beside those in `sent`.
        test: What a test event is called.
        has_rows: Its names stand for row changes of every captured table too, not of collections alone.
        hint: What to write instead of an unknown name.
    """

    sent: Mapping[str, str] | None = None
    free: tuple[str, ...] = ()
    test: str = TEST_TYPE
    has_rows: bool = False
    hint: str = ""

    def name_of(self, event: Event) -> str:
        """Return what an event is called. A changed row is called what a changed item of a collection is."""
        if event.type == TEST_TYPE and event.operation is None:
            return self.test
        if self.sent is None:
            return event.type
        is_row = event.operation is not None and event.source != "collections"
        return self.sent.get(_ROW_ACTIONS[event.operation or ""] if is_row else event.type, event.type)

    def told_as(self, kind: str) -> tuple[str, ...]:
        """Return the types of ours that are sent under the same name as this one, itself among them."""
        if self.sent is None or kind not in self.sent:
            return (kind,)
        return tuple(type_ for type_, sent in self.sent.items() if sent == self.sent[kind])

    def types_named(self, name: str, field: str) -> tuple[str, ...]:
        """Return our types, or families of them, that a name in a subscription stands for.

        Raises:
            InvalidInputError: The system has no event of that name.
        """
        if self.sent is None:
            return (name,)
        types = tuple(type_ for type_, sent in self.sent.items() if _stands_for(name, sent))
        types += tuple(f"{family}*" for family in self.free if _stands_for(name, family))
        if not types and any(name.startswith(family) for family in self.free):
            types = (name,)
        if not types:
            raise InvalidInputError(
                field, f"{field} is {name!r}, which this profile does not know.{self._meant(name)} {self.hint}"
            )
        return types

    def _meant(self, name: str) -> str:
        """Return what a name of ours is called here, or which names are near."""
        if self.sent is None:
            return ""
        if (called := self.sent.get(name)) is not None:
            return f' It is called "{called}" here.'
        return did_you_mean(name, self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that events are sent under, each once; empty when every type is sent as it is."""
        return tuple(dict.fromkeys(self.sent.values())) if self.sent is not None else ()

    def operations_named(self, name: str) -> tuple[str, ...]:
        """Return the operations on captured tables that a name in a subscription stands for."""
        if self.sent is None or not self.has_rows:
            return ()
        return tuple(operation for operation, kind in _ROW_ACTIONS.items() if _stands_for(name, self.sent[kind]))


def _stands_for(name: str, sent: str) -> bool:
    return sent.startswith(name[:-1]) if name.endswith("*") else sent == name


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


OPEN = Vocabulary()

# Seeds 000 and 001. `site.deployed` is one of a family whose other names the documents do not list.
VIVREAL = Vocabulary(
    sent={
        **{
            f"content.{action}": f"collection.object.{action}"
            for action in ("created", "updated", "deleted", "published", "archived")
        },
        **_same("collection.created", "collection.updated", "collection.deleted"),
        **_same("integration.connected", "integration.disconnected", "integration.updated", "integration.synced"),
        **_same("integration.object.created", "integration.object.updated", "integration.object.deleted"),
    },
    free=("site.",),
    hint='Write "*", a family such as "collection.object.*", or a name such as "collection.object.created" or "site.deployed".',
)  # fmt: skip

# Seed 002: nine events, and "any event string not listed on this page is not emitted". That something was published or
# archived is told as an update, as that system tells a go-live.
VIVREAL_CONTENT = Vocabulary(
    sent={
        **_same("content.created", "content.updated", "content.deleted"),
        "content.published": "content.updated",
        "content.archived": "content.updated",
        **_same("collection.created", "collection.updated", "collection.deleted"),
        **{f"integration.object.{action}": f"integration.{action}" for action in ("created", "updated", "deleted")},
    },
    hint='Write "*", or content, collection or integration followed by .created, .updated, .deleted or .*.',
)

# Seed 004 knows row changes only.
FLUXBASE = Vocabulary(
    sent={
        "content.created": "INSERT",
        "content.updated": "UPDATE",
        "content.deleted": "DELETE",
        "content.published": "UPDATE",
        "content.archived": "UPDATE",
    },
    test="TEST",
    has_rows=True,
    hint='Write {"table": "orders", "operations": ["INSERT"]}, or "INSERT", "UPDATE", "DELETE" or "*" for every table.',
)

# Seed 003: actions on the records of a collection, and scheduled requests.
VSKI = Vocabulary(
    sent={
        "content.created": "create",
        "content.updated": "update",
        "content.deleted": "delete",
        "content.published": "update",
        "content.archived": "update",
        "cron.fired": "cron",
    },
    test="test",
    has_rows=True,
    hint='Write "create", "update", "delete", "cron" or "*", or {"table": "orders"}.',
)
