"""`tidings apply` and `tidings export`: configuration as a file that people keep in git."""

import os
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import click

from tidings.cli.remote.cells import Cell
from tidings.cli.remote.configuration import exported, shown, text
from tidings.cli.remote.configuration.kinds import BY_SECTION, KINDS
from tidings.cli.remote.configuration.present import Estate, request_of, unnamed
from tidings.cli.remote.configuration.wanted import Asked, WantedError, asked_by
from tidings.cli.remote.doing import confirm, warn
from tidings.cli.remote.failures import FAILED, NOT_ALLOWED, USAGE, CommandError, ends_well, exit_code_of
from tidings.cli.remote.inert import inert
from tidings.cli.remote.options import output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import Server, chosen
from tidings.client.errors import ApiError
from tidings.core.steps import Does, Step, plan

_ORDER: Final = tuple(kind.section for kind in KINDS)
_IMPLIED: Final = {kind.section: kind.implied for kind in KINDS if kind.implied is not None}
_MADE: Final = {Does.ADD: "added", Does.CHANGE: "changed", Does.REMOVE: "removed"}
_MOST_NAMED: Final = 20
_FREE: Final = frozenset({"webhooks", "redaction"})  # whose names the server does not keep apart
# What is said of a thing that was made without a secret. None is shown: what this writes is kept in logs.
_SECRETS: Final = {
    "webhooks": "webhooks.{name}: a secret was made. Read it with: tidings webhooks secret {id}",
    "integrations": "integrations.{name}: a secret was made, which nobody knows. Give it one: secret: {{env: NAME}}",
}


def apply() -> click.Command:
    """Return `tidings apply`."""

    def run(file: BinaryIO, dry_run: bool, prune: bool, yes: bool, **given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        name = getattr(file, "name", "<stdin>")
        try:
            asked = asked_by(_content(file, name), os.environ, is_trial=dry_run)
        except WantedError as error:
            place = f", {error.field}" if error.field else ""
            raise CommandError(
                f"{name}, line {error.line}{place}: {error.sentence}",
                USAGE,
                code="INVALID_INPUT",
                line=error.line,
                field=error.field,
            ) from error
        server = chosen(given["server"], given["key"], _group(given["group"], asked.group), given["home"])
        Applying(server, paper, asked, name).run(is_trial=dry_run, is_pruning=prune, is_sure=yes)

    return click.Command(
        "apply",
        params=[
            click.Argument(["file"], type=click.File("rb")),
            click.Option(["--dry-run"], is_flag=True, help="Show what would be changed, and change nothing."),
            click.Option(["--prune"], is_flag=True, help="Remove what the file does not have, of the sections that it has."),
            click.Option(["-y", "--yes"], is_flag=True, help="Do not ask."),
            *server_options(),
            *output_options("names of what is changed"),
        ],
        callback=ends_well(run),
        help="Make a server's configuration what a file says, in YAML or JSON, as `tidings export` writes it.\n\n"
        "What is different is shown first. A second time there is nothing to do. What is not in the file is left alone, unless "
        "--prune is given.",
    )  # fmt: skip


def export() -> click.Command:
    """Return `tidings export`."""

    def run(output: BinaryIO, installation: bool, secrets: bool, **given: Any) -> None:
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        estate = Estate(server)
        present = {}
        for kind in KINDS:
            if kind.section.startswith("installation.") and not installation:
                continue
            found = _readable(estate, kind.section)
            is_own = kind.section != "limits" or (found is not None and found.answers[kind.section]["is_own"])
            if found is not None and is_own:
                present[kind.section] = found.fields
        _refuse_unnamed(estate, [one for one in present if BY_SECTION[one].is_named], "a file names each thing")
        output.write(exported.exported(estate.group, present, with_secrets=secrets).encode())

    return click.Command(
        "export",
        params=[
            click.Option(["-o", "--output"], type=click.File("wb", lazy=True), default="-", help="A file."),
            click.Option(["--installation"], is_flag=True, help="With what is of all groups: tables, groups, limits of all."),
            click.Option(["--secrets"], is_flag=True, help="Name a variable for each secret; else secrets stay as they are."),
            *server_options(),
        ],
        callback=ends_well(run),
        help="Write the configuration of a group as YAML, for `tidings apply`, without secrets.",
    )  # fmt: skip


class Applying:
    """One file, and one server that is to be as it says."""

    def __init__(self, server: Server, paper: Paper, asked: Asked, file: str) -> None:
        self._server = server
        self._paper = paper
        self._asked = asked
        self._file = file
        self._estate = Estate(server)

    def run(self, *, is_trial: bool, is_pruning: bool, is_sure: bool) -> None:
        """Show what is different, and make it so."""
        steps = self._plan(is_pruning=is_pruning)
        for line in shown.lines(steps, self._asked.sent, self._asked.variables):
            if not self._paper.as_json and not self._paper.quiet:
                self._paper.write(line)
        self._say_what_is_left(is_pruning=is_pruning)
        if is_trial:
            self._end(steps, None)
            return
        self._ask(steps, is_sure=is_sure)
        done = list(self._do(steps))
        self._refuse_twins(steps)
        self._end(steps, done)

    def _refuse_twins(self, steps: list[Step]) -> None:
        """Say it where another apply has added the same meanwhile: the server keeps names apart of some things alone."""
        for step in steps:
            if step.does is Does.ADD and step.section in _FREE:
                self._estate.forget(step.section)
        for step in steps:
            if step.does is not Does.ADD or step.section not in _FREE:
                continue
            if ids := self._estate.present(step.section).unnamed.get(step.name):
                raise CommandError(
                    f"{len(ids)} {step.section} are called {step.name!r}, since another apply added it at the same time. "
                    f"Everything else is as the file says. Remove all but one: tidings {step.section} delete {ids[-1]}",
                    FAILED,
                    code="CONFLICT",
                )

    def _plan(self, *, is_pruning: bool) -> list[Step]:
        sections = list(self._asked.things)
        present = {section: self._estate.present(section) for section in sections}
        wanted = {(section, name) for section in sections for name in self._asked.things[section]}
        if is_pruning:
            wanted |= {
                (section, name) for section in sections if BY_SECTION[section].is_pruned for name in present[section].unnamed
            }
        _refuse_unnamed(self._estate, sections, "none of them can be told apart", only=wanted)
        return plan(
            self._asked.things,
            {section: one.fields for section, one in present.items()},
            order=_ORDER,
            implied=_IMPLIED,
            pruned=[section for section in sections if BY_SECTION[section].is_pruned] if is_pruning else (),
        )

    def _say_what_is_left(self, *, is_pruning: bool) -> None:
        """Name what the server has and the file does not, of the sections that the file has."""
        for section, wanted in self._asked.things.items():
            kind = BY_SECTION[section]
            left = sorted(set(self._estate.present(section).fields) - set(wanted)) if kind.is_named else []
            if not left or (is_pruning and kind.is_pruned) or section == "installation.groups":
                continue
            more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
            how = (
                "--prune removes them" if kind.is_pruned else "they are never removed by a file, because their records would go"
            )
            self._paper.say(
                f"Not in the file and left alone, of {section}: {', '.join(left[:_MOST_NAMED])}{more} ({how}).", style="dim"
            )
        if self._asked.unset:
            self._paper.say(f"Not set here, so not compared: {', '.join(self._asked.unset)}.", style="yellow")

    def _ask(self, steps: list[Step], *, is_sure: bool) -> None:
        gone = [step for step in steps if step.does is Does.REMOVE]
        if gone:
            confirm(f"Remove {len(gone)} thing(s)? Nothing brings them back.", is_sure=is_sure)
        elif any(step.does is not Does.COMPARE for step in steps) and sys.stdin.isatty():
            confirm("Apply this?", is_sure=is_sure)

    def _do(self, steps: list[Step]) -> Iterator[tuple[Step, Does | None]]:
        """Do what is to be done, and say of each step what it did; None: nothing, for it was so already."""
        for number, step in enumerate(steps):
            sent = self._asked.sent.get(step.section, {}).get(step.name, {})
            wanted = self._asked.things.get(step.section, {}).get(step.name)
            request = request_of(step, sent, dict(wanted.fields) if wanted is not None else {}, self._estate)
            try:
                answer = self._server.ask(request.method, request.path, body=request.body)
            except ApiError as error:
                raise self._refused(error, step, number, len(steps)) from error
            did = None if step.does is Does.COMPARE and not self._is_changed(step, answer) else step.does
            if did is not None:  # what was so already is no surprise
                warn(answer, f"{step.section}.{step.name}.")
            yield step, did
            if step.does is Does.ADD and step.section in _SECRETS and "secret" not in sent:
                click.echo(inert(_SECRETS[step.section].format(name=step.name, id=answer.get("id"))), err=True)

    def _is_changed(self, step: Step, answer: Any) -> bool:
        before = self._estate.present(step.section).answers[step.name]
        mark = "version" if "version" in answer else "updated_at"
        return bool(before[mark] != answer[mark])

    def _refused(self, error: ApiError, step: Step, done: int, of: int) -> CommandError:
        place = f"{step.section}.{step.name}" + (f".{error.field}" if error.field else "")
        line = 0 if step.does is Does.REMOVE else self._asked.line_of(step.section, step.name, error.field or "")
        where = f"{self._file}, line {line}" if line else self._file
        so_far = (
            f" {done} of {of} steps were done before; run it again when this is mended." if done else " Nothing was changed."
        )
        return CommandError(
            f"{where}, {place}: {error.message}{so_far}",
            exit_code_of(error.status),
            code=error.code,
            field=place,
            line=line or None,
            done=done,
        )

    def _end(self, steps: list[Step], done: list[tuple[Step, Does | None]] | None) -> None:
        """Say what was done; None: what would be."""
        is_trial = done is None
        outcome = {(step.section, step.name): does for step, does in done or ()}
        counted = [
            step
            for step in steps
            if (step.does is not Does.COMPARE if is_trial else outcome[step.section, step.name] is not None)
        ]
        if self._paper.as_json:
            told = [shown.document(step, self._asked.variables) for step in steps]
            if done is not None:
                for one, (_, does) in zip(told, done, strict=True):
                    one["did"] = None if does is None else _MADE.get(does, "changed")
            self._paper.document({"steps": told, "unset": list(self._asked.unset), "changed": 0 if is_trial else len(counted)})
            return
        if self._paper.quiet:
            for step in counted:
                click.echo(inert(f"{step.section}.{step.name}"))
            return
        if not counted:
            self._paper.say("Nothing to do: all is as the file says.")
            return
        says = {
            word: sum(_MADE.get(step.does, "changed") == word for step in counted) for word in ("added", "changed", "removed")
        }
        counts = ", ".join(f"{count} {word}" for word, count in says.items() if count)
        self._paper.write([Cell(f"Would be: {counts}. Nothing was changed." if is_trial else f"Done: {counts}.", "bold")])


def _content(file: BinaryIO, name: str) -> str:
    content = file.read(text.MAX_BYTES + 1)
    if len(content) > text.MAX_BYTES:
        raise CommandError(f"{name} has more than {text.MAX_BYTES // 1024:,} KiB. Divide it, by group perhaps.", USAGE)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CommandError(f"{name}, line {line}: This is no text in UTF-8.", USAGE) from error


def _group(given: str | None, said: str | None) -> str | None:
    if given is not None and said is not None and given != said:
        raise CommandError(
            f"The file is for group {said}, and --group or TIDINGS_GROUP says {given}. Take group: out of a file for several.",
            USAGE,
        )
    return given or said


def _readable(estate: Estate, section: str) -> Any:
    try:
        return estate.present(section)
    except ApiError as error:
        if exit_code_of(error.status) != NOT_ALLOWED or error.status == 401:
            raise
        click.echo(f"Left out: {section}. {inert(error.message)}", err=True)
        return None


def _refuse_unnamed(estate: Estate, sections: list[str], why: str, *, only: set[tuple[str, str]] | None = None) -> None:
    found = [one for one in unnamed(estate, sections) if only is None or (one[0], one[1]) in only]
    if found:
        section, name, ids = found[0]
        command = {"webhooks": "webhooks", "jobs": "jobs", "redaction": "redaction"}[section]
        raise CommandError(
            f"{len(ids)} {section} are called {name!r}, and {why}. Give each a name of its own: "
            f"tidings {command} edit {ids[0]} --name …", USAGE, code="CONFLICT",
        )  # fmt: skip
