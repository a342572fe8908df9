"""Writes docs/reference/: settings, events, errors and metrics, from the code that has them. A test holds them together."""

import inspect
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.core import REGISTRY

import tidings.running
import tidings.worker.ahead  # noqa: F401 - the same
from tidings.api.routes.health import database_up, families
from tidings.cli.main import cli
from tidings.config import Config
from tidings.configured import BOUNDS
from tidings.core import errors
from tidings.core.errors import TidingsError
from tidings.core.event_type import BUILT_IN
from tidings.core.pressure import Report, Seen, Waits, Why
from tidings.operations.fleet import Watched
from tidings.operations.readings import Readings
from tidings.worker.ahead_session import ATTEMPTS
from tidings.worker.landed import LANDED
from tidings.worker.lines import SENT
from tidings.worker.reporting import FIGURES

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- made by tools/make_reference.py; change the code it is made from -->"
_FLAGS = {option.name for option in (*cli.params, *cli.commands["serve"].params)}
_SAID = Report(datetime(2026, 1, 1, tzinfo=UTC), 0, 0, False, [], [])
_NOTHING = Readings(0, 0.0, 0, 0, 0.0, {}, 0, 0, {}, fleet=Watched(Seen(_SAID.at, [], sources={"": _SAID}), []))


def settings() -> str:
    """Return the page of settings, from the docstring of `Config`."""
    parts = [
        "# Settings\n\nEach can be given as a variable of the environment, or by its small name in a TOML file (`--config FILE`, or",
        "`TIDINGS_CONFIG`), and some as a flag. Flags outweigh the environment, which outweighs the file. How they belong together is in",
        "[the reference](../reference.md#settings).\n",
    ]
    meanings = dict(_attributes(Config))
    fields = zip(Config.__struct_fields__, Config.__struct_defaults__, strict=True)
    for name, default in fields:
        parts.append(f"## {name}\n\n{meanings[name]}\n")
        facts = [f"`TIDINGS_{name.upper()}`", f"default: {_default(default)}"]
        if name in BOUNDS:
            low, high = BOUNDS[name]
            facts.append(f"from {low:,} to {high:,}")
        if name in _FLAGS:
            facts.append(f"flag `--{name.replace('_', '-')}`")
        parts.append("; ".join(facts) + ".\n")
    return "\n".join(parts)


def _attributes(kind: type) -> Iterator[tuple[str, str]]:
    """Yield each name and its meaning of the section "Attributes" of a docstring."""
    section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
        yield name, re.sub(r"\s+", " ", text)


def _default(value: object) -> str:
    return {"": "none", "None": "none", "<factory>": "none"}.get(  # a factory makes an empty one
        str(value), f"`{str(value).lower() if isinstance(value, bool) else value}`"
    )


def events() -> str:
    """Return the page of the types of events that Tidings makes itself."""
    parts = [
        "# Events\n\nThe types that Tidings makes itself, with `data` as profile `standard` sends it. Applications publish any other. Where each",
        "comes from is in [the sources](../sources.md).\n",
        "| type | when |\n|---|---|",
    ]
    parts += [f"| `{one.name}` | {one.description} |" for one in BUILT_IN]
    parts.append("")
    for one in BUILT_IN:
        example = json.dumps(one.example, indent=2, ensure_ascii=False)
        parts.append(f"## `{one.name}`\n\n{one.description}\n\n```json\n{example}\n```\n")
    return "\n".join(parts)


def refusals() -> str:
    """Return the page of errors."""
    parts = [
        '# Errors\n\nWhat cannot be done is answered with `{"error": "<sentence>", "code": "<NAME>"}` and what stands below beside it. The sentence names the',
        "thing and the remedy, and is for people; `code` is for programs and stays. The command line says the same, with `--json` in the same",
        "form, and [an exit code](../cli.md#exit-codes).\n",
        "| code | status | means |\n|---|---|---|",
    ]
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TidingsError)]
    told = {(kind.status, kind.code): inspect.cleandoc(kind.__doc__ or "").partition("\n")[0] for kind in reversed(kinds)}
    parts += [f"| `{code}` | {status} | {text} |" for (status, code), text in sorted(told.items())]
    return "\n".join(parts) + "\n"


def metrics() -> str:
    """Return the page of metrics."""
    parts = [
        "# Metrics\n\nWhat `/metrics` answers, in Prometheus's text format. The first table is of the whole installation, whichever process is asked, and left out while the database",
        "does not answer, but for `tidings_database_up`, which relays tell too; the second is",
        "of the process that answers; `tidings_relay_…` are told by `tidings relay`, at `TIDINGS_METRICS_ADDRESS`. Who may ask, and the alerts that are made of them: [in production](../production.md#watching).\n",
    ]
    FIGURES.set("", _SAID, [Waits("", 0, 0, 0, 0, Why.NOTHING)])
    for counter in (SENT, LANDED, ATTEMPTS):
        counter.labels("")
    for told in ([database_up(is_up=True), *families(_NOTHING)], REGISTRY.collect()):
        parts.append("| metric | kind | labels | means |\n|---|---|---|---|")
        for family in told:
            labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
            name = family.name + "_total" * (family.type == "counter")
            names = " ".join(f"`{label}`" for label in labels)
            parts.append(f"| `{name}` | {family.type} | {names} | {family.documentation.rstrip('.')}. |")
        parts.append("")
    return "\n".join(parts)


PAGES = {"settings": settings, "events": events, "errors": refusals, "metrics": metrics}


def made(name: str) -> str:
    """Return a page."""
    return f"{MADE}\n\n{PAGES[name]().rstrip()}\n"


if __name__ == "__main__":
    # In a process of its own: what else is imported would count too.
    stale = [name for name in PAGES if (FOLDER / f"{name}.md").read_text() != made(name)]
    if "--check" in sys.argv:
        sys.exit(f"Run tools/make_reference.py: {', '.join(stale)}." if stale else 0)
    for name in stale:
        (FOLDER / f"{name}.md").write_text(made(name))
