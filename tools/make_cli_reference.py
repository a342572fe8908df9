"""Writes the table of commands in docs/cli.md, from the tables that the commands are made of. A test holds them together."""

import sys
from pathlib import Path

import click

from tidings.cli.lazy import SECTIONS
from tidings.cli.remote import auditing
from tidings.cli.remote.failures import EXIT_CODES
from tidings.cli.remote.grammar import Verb, fields
from tidings.cli.remote.things import THINGS

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
BEGIN, END = "<!-- made by tools/make_cli_reference.py -->", "<!-- end -->"


def made() -> str:
    """Return the reference."""
    parts = ["### Exit codes\n", "| code | meaning |", "|---|---|"]
    parts += [f"| {code} | {meaning} |" for code, meaning in sorted(EXIT_CODES.items())]
    for title, section in SECTIONS.items():
        if title == "Things":
            continue
        parts += [f"\n### {title}\n", "| command | what it does |", "|---|---|"]
        parts += [f"| `tidings {name}` | {place.says} |" for name, place in section.items()]
    for thing in THINGS.values():
        parts += [f"\n### tidings {thing.name}\n", f"{thing.says}\n", "| command | what it does | options |", "|---|---|---|"]
        parts += [f"| `{' '.join([verb.name, *arguments(verb)])}` | {verb.says} | {options(verb)} |" for verb in thing.verbs]
        parts += [f"| `{one.name}` | {one.help} | {_flags(one)} |" for one in auditing.commands() if thing.name == "audit"]
    return "\n".join(parts) + "\n"


def arguments(verb: Verb) -> list[str]:
    """Return the arguments of a verb as its help names them."""
    return [name.removesuffix("_id").upper() for name in verb.arguments] + ([f"[{verb.first.upper()}]"] if verb.first else [])


def options(verb: Verb) -> str:
    """Return what a verb takes besides."""
    flags = [f"`{field.flag}`" for field in fields(verb.body)]
    flags += ["`--set`", "`--input`"] if verb.body else []
    names = [name for name in verb.query.split() if name != "confirm"]
    flags += [f"`--where` ({', '.join(names)})"] if names else []
    flags += ["`--limit`", "`--all`"] if verb.shows == "many" and verb.pages != "whole" else []
    flags += ["`--yes`"] if verb.asks else []
    return " ".join(flags)


def _flags(command: click.Command) -> str:
    """Return what a command takes besides, of one that stands in no table."""
    flags = [option.opts[-1] for option in command.params if not getattr(option, "hidden", False)]
    return " ".join(f"`{flag}`" for flag in flags if flag not in {"--server", "--group", "--home", "--json", "--quiet"})


def placed(page: str) -> str:
    """Return a page with the reference in its place."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{made()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(placed(PAGE.read_text()))
    sys.exit(0)
