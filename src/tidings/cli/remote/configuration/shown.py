"""A plan as people read it, and as programs do. What came from a variable, and what looks like a secret, is not shown."""

import json
from collections.abc import Mapping
from typing import Any, Final

from tidings.cli.remote.cells import Cell
from tidings.cli.remote.configuration.kinds import BY_SECTION
from tidings.cli.remote.inert import inert
from tidings.core.differences import HIDDEN, hidden, is_secret, without_credentials
from tidings.core.steps import ABSENT, Change, Does, Step

MAX_VALUE: Final = 160  # characters of a value in a line
_SIGNS: Final = {Does.ADD: ("+", "green"), Does.CHANGE: ("~", "yellow"), Does.COMPARE: ("?", "dim"), Does.REMOVE: ("-", "red")}


def lines(
    steps: list[Step], sent: Mapping[str, Mapping[str, Any]], variables: Mapping[tuple[str, str], Mapping[str, str]]
) -> list[list[Cell]]:
    """Return a plan, section by section."""
    found: list[list[Cell]] = []
    section = ""
    for step in steps:
        if step.section != section:
            section = step.section
            found.append([Cell(section, "bold")])
        sign, style = _SIGNS[step.does]
        found.append([Cell(f"  {sign} {inert(_named(step))}", style)])
        own = variables.get((step.section, step.name), {})
        said = sent.get(step.section, {}).get(step.name, {})
        for change in step.changes:
            if step.does is Does.ADD and change.field not in said:
                continue
            before, after = sides(change, own)
            text = _value(after) if step.does is Does.ADD else f"{_value(before)} → {_value(after)}"
            found.append([Cell(f"      {inert(change.field)}: {text}")])
        for place in step.sealed:
            how = "" if step.does is Does.ADD else ", compared by the server when it is applied"
            found.append([Cell(f"      {place}: from ${inert(own.get(place, '?'))}{how}", "dim")])
    return found


def _named(step: Step) -> str:
    return step.name if BY_SECTION[step.section].is_named else BY_SECTION[step.section].one


def document(step: Step, variables: Mapping[tuple[str, str], Mapping[str, str]]) -> dict[str, Any]:
    """Return a step for programs."""
    own = variables.get((step.section, step.name), {})
    changes = []
    for change in step.changes:
        before, after = sides(change, own)
        told = {"field": change.field}
        told |= {} if before is ABSENT else {"before": before}
        changes.append(told | ({} if after is ABSENT else {"after": after}))
    return {
        "section": step.section,
        "name": step.name,
        "does": str(step.does),
        "changes": changes,
        "compared": list(step.sealed),
    }


def sides(change: Change, variables: Mapping[str, str]) -> tuple[Any, Any]:
    """Return what a field is and what it is to be, without what is secret."""
    field, last = change.field, change.field.rpartition(".")[2]
    if field in variables:
        return (ABSENT if change.before is ABSENT else HIDDEN, f"(from ${variables[field]})")
    if field.startswith("headers."):
        return tuple(one if one is ABSENT or not is_secret(last) else HIDDEN for one in (change.before, change.after))  # type: ignore[return-value]
    return _without_secrets(change.before, field, {}), _without_secrets(change.after, field, variables)


def _without_secrets(value: Any, field: str, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict) and field == "headers":
        return {
            name: f"(from ${variable})"
            if (variable := variables.get(f"headers.{name}")) is not None
            else HIDDEN if is_secret(name) else one
            for name, one in value.items()
        }  # fmt: skip
    if field == "url" and isinstance(value, str):
        return without_credentials(value)
    return hidden(value) if field in {"options", "auth"} else value


def _value(value: Any) -> str:
    if value is ABSENT:
        return "(nothing)"
    told = json.dumps(value, ensure_ascii=False)
    return inert(told if len(told) <= MAX_VALUE else f"{told[: MAX_VALUE - 1]}…")
