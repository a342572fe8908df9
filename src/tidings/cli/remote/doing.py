"""Doing one verb of the table: what was typed becomes a request, the answer becomes text."""

import json
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable
from typing import Any, Final

import click

from tidings.cli.remote.failures import FAILED, NOT_FOUND, USAGE, CommandError
from tidings.cli.remote.grammar import UUID, Column, Field, Thing, Verb, columns, fields, read_setting, read_value
from tidings.cli.remote.inert import inert
from tidings.cli.remote.meanings import meaning
from tidings.cli.remote.options import asked, instant
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import TEST_TIMEOUT, Server, chosen, owner_of, path_of
from tidings.cli.remote.things import THINGS
from tidings.client.errors import ApiError
from tidings.core.event import DEFAULT_GROUP
from tidings.core.near import MAX_KNOWN, did_you_mean

_MAX_PRIVATE: Final = 10_000  # characters; servers take fewer, and say so

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
    server = chosen(given["server"], given["key"], given["group"], given["home"])
    if "group" in verb.query.split() and server.group:  # the audit is one of all groups: the header alone narrows nothing
        query.setdefault("group", server.group)
    _check_names(thing, named)
    for name, text in named.items():
        owner = owner_of(thing, name)
        named[name] = text if owner is None else server.id_of(owner, text)
    for place in (query, body):
        if isinstance(place, dict) and isinstance(place.get("webhook_id"), str) and "webhook_id" not in named:
            place["webhook_id"] = server.id_of(THINGS["webhooks"], place["webhook_id"])
    if verb.asks and not (isinstance(body, dict) and body.get("dry_run")):  # what only counts can be undone
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
        _list(server, thing, verb, path, query, body, given, paper)
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
        if error.status == 422:
            error.message += _remedy(thing, verb, given, error)
        if "written" in given:
            error.message += _kept(thing, given["written"])
        raise
    if verb.shows == "nothing":
        paper.say(f"{thing.one} {path.rpartition('/')[2]} is {verb.done}.")
        warn(answer)
        return
    if verb.then and not paper.as_json and not paper.quiet:
        called = shlex.quote(str(given[argument(verb.arguments[0])]))
        paper.say(verb.then.format(called, called))
        return
    paper.one(answer, verb.quiet or thing.key, frozenset(thing.hides.split()))
    warn(answer)
    if verb.waits and isinstance(answer, dict) and answer.get("success") is False:
        sys.exit(FAILED)
    if verb.path.endswith("/batch") and answer["errors"]:
        if given["quiet"] and not given["as_json"]:
            for one in answer["errors"]:
                click.echo(inert(f"tidings: Line {one['line']}: {one['error']}"), err=True)
        sys.exit(FAILED)


def warn(answer: Any, place: str = "") -> None:
    """Say what an answer warns of beside the answer itself, which may be read by a program.

    Args:
        place: Of what it is the answer, with a dot at its end.
    """
    for one in (answer.get("warnings") or ()) if isinstance(answer, dict) else ():
        click.echo(inert(f"tidings: {place}{one['field']}: {one['message']}"), err=True)


def _list(
    server: Server,
    thing: Thing,
    verb: Verb,
    path: str,
    query: dict[str, Any],
    body: Any,
    given: dict[str, Any],
    paper: Paper,
) -> None:
    limit = None if given.get("all_") or "limit" not in given else given["limit"]
    items: Iterable[Any] = server.walk(verb, path, query, body, limit)
    shown, of = columns(verb.columns or thing.columns), _plural(thing, verb)
    if not paper.as_json and not paper.quiet:
        items = _with_names(server, list(items), shown)
        of += _whose(server) if verb.of_group and not items else ""
    if not paper.many(items, shown, _key(thing, verb), of=of) and not paper.as_json:
        _hint(server, verb, path, query)


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
        } | _set(verb, given["set_"])
        if verb.first and given[argument(verb.first)] is not None:
            said[verb.first] = given[argument(verb.first)]
        for field in fields(verb.body):
            if field.kind == "private" and (given[field.name] == "-" or not (field.name in said or content)):
                said[field.name] = _read_private(field)
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


def _read_private(field: Field) -> str:
    """Read what is not to stand in the shell's history, nor in the list of processes: a line.

    Raises:
        CommandError: There is none, or more than one.
    """
    if sys.stdin.isatty():
        return str(click.prompt(field.name.replace("_", " ").capitalize(), err=True))
    text = sys.stdin.readline(_MAX_PRIVATE)
    line = text.rstrip("\r\n")
    if not line:
        raise CommandError(f'Give {field.flag} on standard input: printf %s "$WHO" | tidings … {field.flag} -', USAGE)
    if len(line) == _MAX_PRIVATE or sys.stdin.read(1):
        raise CommandError(f"Standard input has more than a line of {_MAX_PRIVATE:,} characters; {field.flag} is one.", USAGE)
    return line


def _set(verb: Verb, words: tuple[str, ...]) -> dict[str, Any]:
    """Return what `--set` says; null empties a list or a map, which the API takes no null for."""
    kinds = {field.name: field.kind for field in fields(verb.body)}
    empty: dict[str, Any] = {"list": [], "map": {}, "either": {}}
    return {name: empty.get(kinds.get(name, "")) if value is None else value for name, value in map(read_setting, words)}


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


def _remedy(thing: Thing, verb: Verb, given: dict[str, Any], error: ApiError) -> str:
    """Return what the server cannot know of a refused field: what it is called here, what is near, what it may say."""
    known = {field.name: field for field in fields(verb.body)}
    for name in (word.partition("=")[0] for word in given.get("set_", ())):
        if known and name not in known and name in error.message:
            return did_you_mean(name, known) or f" There are {', '.join(known)}."
    field = known.get(re.split(r"[.\[]", error.field or "", maxsplit=1)[0])
    if field is None:
        return ""
    if error.message.endswith("is required.") or "missing required field" in error.message:
        return f" Give it with {field.flag}: {meaning(thing.name, verb.name, field.name)}"
    return "" if field.name in error.message else f" It is about {field.flag}."


def _with_names(server: Server, items: list[Any], shown: list[Column]) -> list[Any]:
    """Return what people are shown: webhooks by their names, as far as those can be read."""
    places = [column.path[0] for column in shown if column.kind == "webhook"]
    if not items or not places:
        return items
    try:
        names = {one["id"]: one["name"] for one in server.list_of(THINGS["webhooks"], MAX_KNOWN)}
    except ApiError:  # the key does not allow it
        return items
    return [item | {place: names.get(item[place], item[place]) for place in places} for item in items]


def _hint(server: Server, verb: Verb, path: str, query: dict[str, Any]) -> None:
    """Say why a search of history may have found nothing: nothing has the type, or others are still tried."""
    if isinstance(word := query.get("type"), str) and path.endswith(("/events", "/deliveries")):
        _hint_of_type(server, word)
    if query.get("status") != "failed" or not path.endswith("/deliveries"):
        return
    if list(server.walk(verb, path, query | {"status": "retrying"}, None, 1)):
        click.echo("Some failed and are tried again: --where status=retrying.", err=True)


def _hint_of_type(server: Server, word: str) -> None:
    """Say what may have been meant by a type that nobody has described."""
    try:
        names = [one["name"] for one in server.ask("GET", "/api/v1/event-types")]
    except ApiError:  # of a key that may not see the catalogue
        return
    if word not in names and (near := did_you_mean(word, names)):
        click.echo(inert(f"No type {word} is described.{near}"), err=True)


def _whose(server: Server) -> str:
    """Return of which group a list is that was asked for: the one that is named, or that the key is for."""
    return f" of group {server.group or server.ask('GET', '/api/v1/keys/current')['bound_to'] or DEFAULT_GROUP}"


def _key(thing: Thing, verb: Verb) -> str:
    """Return the field that names an entry of a list: the list's own first column, where it has one."""
    shown = columns(verb.columns)
    return shown[0].path[-1] if shown else thing.key


def _plural(thing: Thing, verb: Verb) -> str:
    if verb.name == "list":
        return thing.many or thing.name.replace("-", " ")
    return verb.inside if verb.inside not in {"", "items"} else verb.name.replace("-", " ")
