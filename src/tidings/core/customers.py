"""What a customer may do by a portal link, and what they may choose to hear of. What an operator's tables and collections are
called, and what else happens inside an installation, is theirs to choose from only where the operator says so.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.event_type import BUILT_IN
from tidings.core.filters import Filter, TypeFilter
from tidings.core.reached import origin_of
from tidings.core.vocabulary import Vocabulary
from tidings.core.webhook import Subscription

MAX_NAMES: Final = 300  # events that a customer chooses for one webhook

_OURS = frozenset(one.name.partition(".")[0] for one in BUILT_IN)


class Access(StrEnum):
    """What the holder of a portal link may do."""

    READ = "read"  # look at webhooks and deliveries, without secrets
    MANAGE = "manage"  # also make, change, test and delete webhooks that hear what applications publish
    FULL = "full"  # also choose tables, collections and everything

    @property
    def may_manage(self) -> bool:
        """Whether it changes anything at all."""
        return self is not Access.READ


def parse_access(text: str) -> Access:
    """Return what a link is to allow.

    Raises:
        InvalidInputError: There is no such thing.
    """
    try:
        return Access(text)
    except ValueError as error:
        known = ", ".join(one.value for one in Access)
        raise InvalidInputError("access", f"access is {text[:40]!r}; write one of {known}.") from error


def is_published(name: str) -> bool:
    """Whether a type, or a family of types, is of applications alone: nothing that Tidings makes by itself."""
    return name.partition(".")[0] not in _OURS and not name.startswith("*")


def is_choosable(wanted: Filter, vocabulary: Vocabulary) -> bool:
    """Whether a customer who may not choose tables and collections has a say in an entry of a webhook's events.

    A profile with names of its own calls changes of rows and records by them, so only its free families are.
    """
    return isinstance(wanted, TypeFilter) and _is_theirs(wanted.name, vocabulary)


def _is_theirs(name: str, vocabulary: Vocabulary) -> bool:
    return is_published(name) and (vocabulary.sent is None or name.startswith(vocabulary.free or ("\0",)))


def check_chosen(names: Sequence[str], known: Iterable[str], before: Iterable[str], vocabulary: Vocabulary) -> None:
    """Refuse events that a customer cannot choose: what is none of the group's published types or of their families.

    Args:
        known: Those of the names that are types of the group, published or described.
        before: What the webhook hears already.

    Raises:
        InvalidInputError: With the name and the remedy.
    """
    if len(names) > MAX_NAMES:
        raise InvalidInputError("events", f"{len(names)} events are chosen; choose at most {MAX_NAMES}, or a family of them.")
    taken = {*known, *before}
    for name in names:
        if not (name in taken or name.endswith(".*")) or not _is_theirs(name, vocabulary):
            raise InvalidInputError(
                "events", f"{name[:80]!r} is none of the events that can be chosen. Tick those of the list."
            )


def check_moved(webhook: Subscription, url: str) -> None:
    """Refuse to have a webhook send the operator's headers elsewhere: they were set for whom it sends to now.

    Raises:
        ConflictError: It would.
    """
    has_any = webhook.headers or webhook.credentials_shown.auth is not None  # which is sent as a header, too
    if has_any and origin_of(url) != origin_of(webhook.url):
        raise ConflictError(
            "This webhook sends headers that were set for its present host by whoever runs this service. Make another webhook "
            "for the new address, or ask them to change this one."
        )
