"""Whose webhook it is: the profile of one that is created without saying.

Each of the systems whose dialects are spoken here creates webhooks in a shape of its own: its words for events, its fields, its
kind of secret. A request that only one of them would send is of that system. One that several would send says nothing: then it
is `standard`, and the answer tells how to choose. All that is known of the shapes stands in the table below; an explicit
profile, and one the operator has set for all, are not questioned.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.event_type import BUILT_IN
from tidings.core.near import did_you_mean
from tidings.core.signature import secret_key
from tidings.core.vocabulary import FLUXBASE, VIVREAL, VIVREAL_CONTENT, VSKI, Vocabulary
from tidings.profiles import PROFILES

STANDARD = "standard"


class Shape(msgspec.Struct, frozen=True):
    """What a request to create a webhook shows of where it comes from.

    Attributes:
        fields: The names of the fields it says.
        events: The entries of its `events`.
        secret: As it was given.
    """

    fields: frozenset[str]
    events: tuple[Any, ...]
    secret: str | None = None

    @property
    def has_text_secret(self) -> bool:
        """Whether it has a secret that Standard Webhooks could not use."""
        if self.secret is None:
            return False
        try:
            secret_key(self.secret)
        except InvalidInputError:
            return True
        return False


class Choice(msgspec.Struct, frozen=True):
    """A profile, and why it is this one.

    Attributes:
        why: In a sentence.
        how: What to say to have another; empty where it was said.
        signs: What showed whose it is, in parts of a sentence.
        is_by_shape: The shape decided, not what was said or set.
    """

    profile: str
    why: str
    how: str = ""
    signs: tuple[str, ...] = ()
    is_by_shape: bool = False

    @property
    def reason(self) -> str:
        """Why, and how to have another."""
        return f"{self.why} {self.how}".strip()


class System(msgspec.Struct, frozen=True):
    """The shape of one system's requests.

    Attributes:
        words: Its names of events.
        own_fields: Fields that no other system has.
        has_tables: Its events are tables with operations.
        beside: Its profile for receivers of another generation.
    """

    name: str
    profile: str
    words: Vocabulary
    own_fields: frozenset[str] = frozenset()
    has_tables: bool = False
    beside: str | None = None


# VSKI's own fields are read at its own route, which says it all.
SYSTEMS = (
    System("Vivreal", "vivreal", VIVREAL),
    System("Vivreal's second generation", "vivreal-content", VIVREAL_CONTENT),
    System("Fluxbase", "fluxbase", FLUXBASE, frozenset({"is_active", "scope"}), has_tables=True, beside="fluxbase-t"),
    System("VSKI", "vski", VSKI),
)

OURS = frozenset(one.name for one in BUILT_IN)
_HOW = f"Say profile to choose: one of {', '.join(PROFILES)}."


def chosen_profile(asked: str | None, default: str | None, shape: Shape) -> Choice:
    """Return the profile of a new webhook.

    Args:
        asked: What the request says.
        default: What the operator has set for requests that do not say.

    Raises:
        InvalidInputError: There is no such profile.
    """
    if asked is not None:
        check_profile(asked)
        return Choice(asked, "The request asks for it.")
    if default is not None:
        return Choice(default, f"TIDINGS_DEFAULT_PROFILE is {default}.", _HOW)
    signs = {system.profile: found for system in SYSTEMS if (found := _signs(system, shape))}
    if len(signs) == 1:
        (system,) = (system for system in SYSTEMS if system.profile in signs)
        shown = tuple(signs[system.profile])
        told = f"The request has the shape of {system.name}: {' and '.join(shown)}."
        other = f" For receivers that verify t=…,v1= choose {system.beside}." if system.beside else ""
        return Choice(system.profile, f"{told}{other}", _HOW, shown, is_by_shape=True)
    if signs:
        return Choice(STANDARD, f"The request could be of {' or '.join(signs)}.", _HOW, is_by_shape=True)
    return Choice(STANDARD, "Nothing in the request is of another system's shape.", _HOW, is_by_shape=True)


def check_profile(name: str) -> None:
    """Refuse a profile that does not exist.

    Raises:
        InvalidInputError: With those that do.
    """
    if name not in PROFILES:
        there_are = ", ".join(PROFILES)
        raise InvalidInputError("profile", f"profile is {name!r}; write one of {there_are}.{did_you_mean(name, PROFILES)}")


def _signs(system: System, shape: Shape) -> list[str]:
    """Return what shows that a request is of this system's; nothing when it could be our own, or not the system's."""
    names = [entry for entry in shape.events if isinstance(entry, str) and entry != "*"]
    tables = [entry for entry in shape.events if isinstance(entry, dict)]
    foreign = [name for name in names if is_foreign(system.words, name)]
    # A name that only this system has says more than a table or collection beside it, which every profile can be told of.
    asked = [entry for entry in shape.events if not (foreign and isinstance(entry, dict))]
    if not all(_is_spoken(system, entry) for entry in asked):
        return []
    is_text = shape.has_text_secret
    found = [f'"{name}" is an event of it' for name in foreign[:1]]
    if is_text or shape.secret is None:  # a secret of Standard Webhooks says more than a spelling
        found += [f"{name} is a field of it" for name in sorted(shape.fields & system.own_fields)]
    if is_text and (names or tables):
        found += [f'"{name}" is an event of it' for name in names[:1] if not foreign]
        found += ["events are tables with operations"] if tables else []
        found.append("the secret is any text")
    return found


def _is_spoken(system: System, entry: Any) -> bool:
    """Tell whether an entry of `events` is one that the system's clients write."""
    if isinstance(entry, dict):
        return system.has_tables and "table" in entry
    return isinstance(entry, str) and (entry == "*" or knows(system.words, entry))


def knows(words: Vocabulary, name: str) -> bool:
    """Tell whether a system has events of that name."""
    try:
        words.types_named(name, "events")
    except InvalidInputError:
        return False
    return True


def is_foreign(words: Vocabulary, name: str) -> bool:
    """Tell whether a name is one of the system's, and neither a type of ours nor a family of them."""
    return any(covers(name, theirs) for theirs in words.names) and not any(covers(name, ours) for ours in OURS)


def covers(name: str, type_: str) -> bool:
    """Tell whether a type, or a family as it is written, covers a type."""
    return type_.startswith(name[:-1]) if name.endswith("*") else type_ == name


def shape_of(fields: Iterable[str], events: Sequence[Any] | str, secret: str | None) -> Shape:
    """Return the shape of a request, `events` read as a list or as names with commas."""
    return Shape(frozenset(fields), tuple(entries_of(events)), secret)


def entries_of(events: Sequence[Any] | str) -> list[Any]:
    """Return the entries of `events`, which seed 004's command line sends as names with commas."""
    return [name.strip() for name in events.split(",")] if isinstance(events, str) else list(events)
