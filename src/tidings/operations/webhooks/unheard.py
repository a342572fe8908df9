"""Names that a webhook would wait for in vain: another system's, or misspelt. Nothing is read or written here.

Profiles with names of their own refuse what they do not know. `standard` and `cloudevents` take any name, since applications
publish what they like: there a name of another system, or one with a letter wrong, is a webhook that never fires. Where nobody
said which profile, such a name is refused; where somebody did, it is told (`told`), and kept.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tidings.core.errors import InvalidInputError
from tidings.core.filters import MAX_FILTERS, TypeFilter
from tidings.core.near import MAX_LENGTH, did_you_mean
from tidings.core.webhook import Subscription
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.shapes import OURS, STANDARD, SYSTEMS, Choice, Shape, System, covers, is_foreign, knows
from tidings.profiles import PROFILES

MAX_TOLD = 5  # names in vain that are told of one webhook

_NAMES = tuple(dict.fromkeys([*sorted(OURS), *(name for system in SYSTEMS for name in system.words.names)]))
# Families that no type of ours is in, so that whoever writes one means that system. One word alone is no family.
_FAMILIES = {
    family: system
    for system in SYSTEMS
    for name in system.words.names
    if (family := name.rpartition(".")[0]) and not any(ours.startswith(f"{family}.") for ours in OURS)
}


def check_spoken(choice: Choice, shape: Shape) -> None:
    """Refuse names that no profile knows and that look like one's, and names of several profiles at once.

    Raises:
        InvalidInputError: With the near names, or whose name it is, and what to do.
    """
    if not choice.is_by_shape or choice.profile != STANDARD:
        return
    names = [(at, entry) for at, entry in enumerate(shape.events[:MAX_FILTERS]) if isinstance(entry, str) and entry != "*"]
    for at, name in names:
        if _is_ours(name):
            continue
        if (system := _owner(name)) is not None:
            raise InvalidInputError(f"events[{at}]", _mixed(at, name, system, shape))
        if (near := _near(name)) is not None:
            raise InvalidInputError(f"events[{at}]", _misspelt(at, name, near))


def _mixed(at: int, name: str, system: System, shape: Shape) -> str:
    other = next((entry for entry in shape.events if isinstance(entry, str) and not knows(system.words, entry)), None)
    told = f"events[{at}] is {name!r}, which is an event of profile {system.profile}"
    if other is not None and other != "*":
        told += f", and {other[:MAX_LENGTH]!r} is none of that profile's"
    return (
        f"{told}. A webhook has one profile: choose {system.profile}, or make a webhook for each. "
        f"With profile {STANDARD} it is what your application publishes under that name."
    )


def _misspelt(at: int, name: str, near: str) -> str:
    return (
        f"events[{at}] is {name[:MAX_LENGTH]!r}, which no profile knows.{near} "
        f"If your application publishes it, choose profile {STANDARD}."
    )


def _is_ours(name: str) -> bool:
    return name.startswith("table.") or any(covers(name, ours) for ours in OURS)


def _owner(name: str) -> System | None:
    """Return the first system whose name it is and nobody else's."""
    return next((system for system in SYSTEMS if is_foreign(system.words, name)), None)


def _near(name: str) -> str | None:
    """Return ` Did you mean …?` for a name with a letter wrong, or in a family that one system has alone; else None."""
    if len(name) > MAX_LENGTH:
        return None
    spelt = name.removesuffix(".*") if name.endswith(".*") else name
    candidates = _NAMES if spelt == name else {one.rpartition(".")[0] for one in _NAMES} - {""}
    slips = [one for one in candidates if is_slip(spelt.casefold(), one.casefold())]
    if slips:
        ending = "" if spelt == name else ".*"
        meant = " or ".join(f'"{one}{ending}"' for one in sorted(slips)[:3])
        return f" Did you mean {meant}?"
    system = _FAMILIES.get(name.rpartition(".")[0])
    return did_you_mean(name, system.words.names) if system is not None else None


def is_slip(one: str, other: str) -> bool:
    """Tell whether one word is the other with at most one letter added, left out, exchanged, or two swapped."""
    if abs(len(one) - len(other)) > 1:
        return False
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest, others = one[at:], other[at:]
    if len(rest) < 2 and len(others) < 2:
        return True
    swapped = rest[:2] == others[1::-1] and rest[2:] == others[2:]
    return swapped or rest[1:] == others[1:] or rest[1:] == others or rest == others[1:]


# What is told of a webhook that has chosen ---------------------------------------------------------------------------------


def told(profile: str, names: Iterable[str], choices: Choices) -> list[str]:
    """Return, of the names of a webhook that nothing is known by, what they may be instead; a bounded number of sentences.

    Args:
        names: Types and families.
        choices: What there is in its group.
    """
    known = PROFILES.get(profile)
    if known is None or known.vocabulary.sent is not None:
        return []
    types = {*choices.types, *choices.seen, *OURS}
    sentences = (_told(name, types, choices) for name in dict.fromkeys(names) if not _is_heard(name, types))
    return [sentence for sentence, _ in zip(sentences, range(MAX_TOLD), strict=False)]


def named_in(events: Iterable[Any]) -> list[str]:
    """Return the types and families among the entries of `events`."""
    return [entry for entry in events if isinstance(entry, str)]


def types_named(webhook: Subscription) -> list[str]:
    """Return the types and families that a webhook names."""
    return [wanted.name for wanted in webhook.events if isinstance(wanted, TypeFilter)]


def _is_heard(name: str, types: set[str]) -> bool:
    return name == "*" or name.startswith("table.") or any(covers(name, type_) for type_ in types)


def _told(name: str, types: set[str], choices: Choices) -> str:
    first, _, rest = name[:MAX_LENGTH].partition(".")
    tables = {table: (schema, table) for (schema, table), _ in reversed(choices.tables)}
    if (second := rest.partition(".")[0]) in tables and tables[second][0] == first:
        first = second
    if first in tables:
        schema, table = tables[first]
        path = table if schema == "public" else f"{schema}.{table}"
        return f'"{name[:MAX_LENGTH]}" is no event. {table} is a table: tick it under Tables, or write "table.{path}.*".'
    if first in choices.collections:
        return f'"{name[:MAX_LENGTH]}" is no event. {first} is a collection: tick it under Collections.'
    if (system := _owner(name)) is not None:
        ours = ", ".join(dict.fromkeys(t for t in system.words.types_named(name, "events") if not t.endswith("*")))
        instead = f", or write {ours}" if ours else ""
        return f'"{name[:MAX_LENGTH]}" is an event of profile {system.profile}. Choose that profile{instead}.'
    near = _near(name) or did_you_mean(name, _sorted(types))
    told = f'No event "{name[:MAX_LENGTH]}" has come yet; it goes out once your application publishes one'
    return f"{told}.{near}"


def _sorted(types: Iterable[str]) -> Sequence[str]:
    return sorted(type_ for type_ in types if "<" not in type_)
