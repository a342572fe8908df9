"""Doing one verb of the table: what was typed becomes a request, the answer becomes text."""

import json
import sys
import tempfile
from typing import Any

import click

from tidings.cli.remote.failures import FAILED, NOT_FOUND, USAGE, CommandError
from tidings.cli.remote.grammar import UUID, Thing, Verb, columns, fields, read_setting, read_value
from tidings.cli.remote.inert import inert
from tidings.cli.remote.options import asked, instant
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import TEST_TIMEOUT, Server, chosen, owner_of, path_of
from tidings.cli.remote.things import THINGS
from tidings.client.errors import ApiError

_OBSERVED = frozenset({"id", "created", "updated", "created_at", "updated_at", "collectionId", "collectionName"})


def do(thing: Thing, verb: Verb, given: dict[str, Any]) -> None:
    """Do what was asked and show what came of it.

    Raises:
        ApiError: The server refused, or none answered.
        CommandError: What was typed cannot be done.
    """
    paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
    query: dict[str, Any] = asked(given.get("where", ()), verb.query.split(), paper.now())
    named = {name: str(given[argument(name)]) for name in verb.arguments}
    body = body_of(verb, given, paper)
    server = chosen(given["server"], given["key"], given["group"])
    _check_names(thing, named)
    for name, text in named.items():
        owner = owner_of(thing, name)
        named[name] = text if owner is None else server.id_of(owner, text)
    for place in (query, body):
        if isinstance(place, dict) and isinstance(place.get("webhook_id"), str) and "webhook_id" not in named:
            place["webhook_id"] = server.id_of(THINGS["webhooks"], place["webhook_id"])
    if verb.asks:
        confirm(verb.asks.format(" ".join(named.values())), is_sure=given["yes"])
    if "confirm" in verb.query.split():
        query["confirm"] = named[verb.arguments[0]]
    if given.get("everything"):
        query["everything"] = "true"
    try:
        _request(server, thing, verb, path_of(verb, named), query, body, given, paper)
    except ApiError as error:
        near = _near(server, thing, verb, named) if error.status == 404 else ""
        details = error.details
        raise ApiError(
            error.message + near, status=error.status, code=error.code, field=error.field, details=details
        ) from error


def argument(name: str) -> str:
    """Return what an argument is called inside: a field of the body may have the same name."""
    return f"{name}_"


def _request(
    server: Server,
    thing: Thing,
    verb: Verb,
    path: str,
    query: dict[str, Any],
    body: Any,
    given: dict[str, Any],
    paper: Paper,
) -> None:
    if verb.shows == "many" and verb.pages:
        limit = None if given.get("all_") or "limit" not in given else given["limit"]
        items = server.walk(verb, path, query, body, limit)
        paper.many(items, columns(verb.columns or thing.columns), _key(thing, verb), of=_plural(thing, verb))
        return
    if verb.edits:
        body = _edited(server, thing, verb, path, body, given)
        if not body:
            click.echo("Nothing was changed.", err=True)
            return
    timeout = TEST_TIMEOUT if verb.waits else None
    try:
        answer = server.ask(verb.method, path, query=query, body=body, timeout=timeout)
    except ApiError as error:
        if "written" in given:
            error.message += _kept(thing, given["written"])
        raise
    if verb.shows == "nothing":
        paper.say(f"{thing.one} {path.rpartition('/')[2]} is {verb.done}.")
        return
    paper.one(answer, thing.key, frozenset(thing.hides.split()))
    if verb.waits and isinstance(answer, dict) and answer.get("success") is False:
        sys.exit(FAILED)
    if verb.path.endswith("/batch") and answer["errors"]:
        if given["quiet"] and not given["as_json"]:
            for one in answer["errors"]:
                click.echo(inert(f"tidings: Line {one['line']}: {one['error']}"), err=True)
        sys.exit(FAILED)


def body_of(verb: Verb, given: dict[str, Any], paper: Paper) -> Any:
    """Return the body that was asked for: a file's, then what options and settings say over it; None: the verb has none.

    Raises:
        CommandError: Something of it cannot be read.
    """
    if verb.sends is not None:
        return verb.sends
    if not verb.body:
        return None
    file = given["input_"]
    content = file.read() if file is not None else None
    if verb.path.endswith("/batch"):
        if content is None:
            raise CommandError("Name a file with a line of JSON for each event: --input FILE, or - for standard input.", USAGE)
        return content
    body: Any = {}
    try:
        if content is not None:
            body = json.loads(content)
        said = {
            field.name: read_value(field.kind, given[field.name])
            for field in fields(verb.body)
            if given[field.name] is not None and given[field.name] != ()
        } | dict(map(read_setting, given["set_"]))
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
    if isinstance(body, dict):
        body |= {
            name: instant(value, paper.now()) if name in {"since", "until"} and value else value for name, value in said.items()
        }
    elif said:
        raise CommandError("--set does not go with a list; change the list itself.", USAGE)
    if not body and verb.body.strip() == "*" and not verb.edits:
        raise CommandError("Say what: --set name=value, or --input FILE with JSON.", USAGE)
    return body


def confirm(question: str, *, is_sure: bool) -> None:
    """Ask before what cannot be undone.

    Raises:
        CommandError: The answer is no, or nobody is there to answer.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Add --yes to do it without being asked.", USAGE)
    if not click.confirm(question, err=True):
        raise CommandError("Nothing was done.", FAILED)


def _edited(server: Server, thing: Thing, verb: Verb, path: str, body: Any, given: dict[str, Any]) -> Any:
    """Return what is to be sent to change a thing: what was given, or what came of its text in an editor."""
    if body and not verb.whole:
        return body
    present = server.ask("GET", path)
    names = [field.name for field in fields(verb.body)] or [name for name in present if name not in _OBSERVED]
    before = {name: present[name] for name in names if name in present}
    if body:
        return before | body
    if given["editor"] is None and not sys.stdin.isatty():
        raise CommandError(f"Say what to change, such as --set {next(iter(before), 'name')}=…, or set EDITOR.", USAGE)
    text = json.dumps(before, ensure_ascii=False, indent=2) + "\n"
    try:
        written = click.edit(text, editor=given["editor"], extension=".json")
    except ValueError as error:  # its quotes are open
        raise CommandError(f"EDITOR is {given['editor']!r}, which is no command: {error}.", USAGE) from error
    if written is None or written == text:
        return None
    try:
        after = dict(json.loads(written))
    except (ValueError, TypeError) as error:
        raise CommandError(f"What you wrote is no JSON object: {error}.{_kept(thing, written)}", USAGE) from error
    given["written"] = written
    changed = {name: value for name, value in after.items() if name not in before or value != before[name]}
    return before | after if verb.whole and changed else changed


def _kept(thing: Thing, written: str) -> str:
    """Keep what somebody wrote in an editor, and say where."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix=f"{thing.name}-", delete=False) as file:
        file.write(written)
    return f" Nothing was changed. What you wrote is kept: correct it, and add --input {file.name}"


def _check_names(thing: Thing, named: dict[str, str]) -> None:
    for name, text in named.items():
        owner = owner_of(thing, name)
        if text in {"", ".", ".."}:
            raise CommandError(f"{text!r} names nothing.", NOT_FOUND)
        if (
            name.endswith("_id")
            and name not in {"record_id", "group_id"}
            and not (owner and owner.label)
            and not UUID.fullmatch(text)
        ):
            one = owner.one if owner is not None else name.removesuffix("_id")
            raise CommandError(
                f"{text!r} is no id of a {one}; they look like 01a1fc62-e1ae-7a3f-9346-3f0000000001.",
                NOT_FOUND,
                code="NOT_FOUND",
            )


def _near(server: Server, thing: Thing, verb: Verb, named: dict[str, str]) -> str:
    for name in verb.arguments[:1]:
        owner = owner_of(thing, name)
        if owner is not None:
            return server.near(owner, named[name])
    return ""


def _key(thing: Thing, verb: Verb) -> str:
    """Return the field that names an entry of a list: the list's own first column, where it has one."""
    shown = columns(verb.columns)
    return shown[0].path[-1] if shown else thing.key


def _plural(thing: Thing, verb: Verb) -> str:
    return thing.name.replace("-", " ") if verb.name == "list" else verb.name.replace("-", " ")
