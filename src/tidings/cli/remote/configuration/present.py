"""What a server has, read over its API into the form in which it is compared, with what changes it."""

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from tidings.cli.remote.configuration.kinds import BY_SECTION, Fields, Kind
from tidings.cli.remote.failures import USAGE, CommandError
from tidings.cli.remote.server import Server
from tidings.cli.remote.things import THINGS
from tidings.core.steps import Does, Step
from tidings.core.table_name import short_name

MAX_THINGS: Final = 10_000  # of one section
_DEFAULT_GROUP: Final = "default"

# The section of a thing of the table of what can be done (`things`), which knows how each is listed.
_LISTED: Final = {
    "installation.groups": "groups", "installation.tables": "tables", "event_types": "event-types",
    "collections": "collections", "integrations": "integrations", "webhooks": "webhooks", "jobs": "jobs",
    "redaction": "redaction",
}  # fmt: skip


class Present(NamedTuple):
    """What there is of one section.

    Attributes:
        fields: Of each thing, by name.
        answers: What the server says of each.
        unnamed: Names that several have: none of them can be meant.
    """

    fields: dict[str, Fields]
    answers: dict[str, Any]
    unnamed: dict[str, list[str]]


class Estate:
    """What a server has for one group, as far as it was asked for."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._read: dict[str, Present] = {}
        self._group: str | None = server.group

    @property
    def group(self) -> str:
        """The group it is about."""
        if self._group is None:
            current = self._server.ask("GET", "/api/v1/keys/current")
            self._group = current["bound_to"] or _DEFAULT_GROUP
        return self._group

    def present(self, section: str) -> Present:
        """Return what there is of a section."""
        if section not in self._read:
            self._read[section] = self._look(BY_SECTION[section])
        return self._read[section]

    def forget(self, section: str) -> None:
        """Read a section anew when it is asked for again."""
        self._read.pop(section, None)

    def _look(self, kind: Kind) -> Present:
        if not kind.is_named:
            return self._single(kind)
        present = Present({}, {}, {})
        for said in self._list(kind.section):
            name = _name_of(kind.section, said)
            if name is None:
                continue
            if name in present.unnamed:
                present.unnamed[name].append(str(said["id"]))
            elif name in present.fields:
                present.unnamed[name] = [str(present.answers[name]["id"]), str(said["id"])]
                del present.fields[name], present.answers[name]
            else:
                present.fields[name] = self._fields(kind, said)
                present.answers[name] = said
        return present

    def _list(self, section: str) -> list[Any]:
        thing = THINGS[_LISTED[section]]
        verb = thing.verb("list")
        found = list(self._server.walk(verb, verb.path, {}, None, MAX_THINGS + 1))
        if len(found) > MAX_THINGS:
            raise CommandError(f"There are more than {MAX_THINGS:,} {thing.name}, which are too many for a file.", USAGE)
        return found

    def _single(self, kind: Kind) -> Present:
        group = quote(self.group, safe="")
        match kind.section:
            case "limits":
                said = self._server.ask("GET", f"/api/v1/groups/{group}/limits")
                answer = said["limits"] | {"is_own": said["is_own"]}
            case "egress":
                answer = self._server.ask("GET", f"/api/v1/groups/{group}/egress")
            case _:
                answer = self._server.ask("GET", "/api/v1/limits")
        return Present({kind.section: kind.read(answer)}, {kind.section: answer}, {})

    def _fields(self, kind: Kind, said: Any) -> Fields:
        if kind.section == "redaction":  # which has a webhook's id where a file has its name
            named = {one["id"]: name for name, one in self.present("webhooks").answers.items()} if said["webhook_id"] else {}
            return kind.read(said | {"webhook": named.get(said["webhook_id"], said["webhook_id"])})
        return kind.read(said)


def _name_of(section: str, said: Any) -> str | None:
    """Return what a thing is called in a file; None: it is not for one."""
    match section:
        case "webhooks":
            return None if said["managed_by"] is not None else str(said["name"])
        case "event_types":
            return None if said["built_in"] else str(said["name"])
        case "installation.tables":
            is_plain = BY_SECTION[section].read(said) == BY_SECTION[section].implied
            return None if is_plain else short_name(said["schema"], said["table"])
        case "installation.groups":
            return None if said["deleting_at"] is not None else str(said["id"])
        case _:
            return str(said["name"])


class Request(NamedTuple):
    """A call of the API."""

    method: str
    path: str
    body: Any = None


def request_of(step: Step, sent: dict[str, Any], wanted: Fields, estate: Estate) -> Request:
    """Return the call that does a step.

    Args:
        sent: What the file says of the thing, with the values of variables.
        wanted: The same in the form in which it is compared, with all that it does not say.
    """
    return _REQUESTS[step.section](step, sent, wanted, estate)


def _changed(step: Step, sent: dict[str, Any], wanted: Fields) -> dict[str, Any]:
    """Return the fields that a step changes; those that cannot be compared always. What the file says goes as it says it."""
    names = dict.fromkeys([*step.fields, *(one.partition(".")[0] for one in step.sealed)])
    return {name: sent.get(name, wanted.get(name)) for name in names}


def _by_name(path: str, *, whole: bool = False, name: str = "name") -> Callable[..., Request]:
    """Return what makes calls for things that the API names as a file does.

    Args:
        whole: The API takes all fields, by PUT.
        name: The field that says the name of a new one; empty: its path says it.
    """

    def request(step: Step, sent: dict[str, Any], wanted: Fields, _: Estate) -> Request:
        own = f"{path}/{quote(step.name, safe='')}"
        match step.does:
            case Does.REMOVE:
                return Request("DELETE", own)
            case _ if whole:
                return Request("PUT", own, wanted | sent)
            case Does.ADD:
                return Request("POST", path, sent | {name: step.name})
        return Request("PATCH", own, _changed(step, sent, wanted))

    return request


def _by_id(path: str, *, versioned: bool = False) -> Callable[..., Request]:
    """Return what makes calls for things that the API names by ids.

    Args:
        versioned: The API refuses a change of a thing that is not as it was read.
    """

    def request(step: Step, sent: dict[str, Any], wanted: Fields, estate: Estate) -> Request:
        if step.does is Does.ADD:
            return Request("POST", path, _with_webhook_id(sent, wanted | sent, estate) | {"name": step.name})
        said = estate.present(step.section).answers[step.name]
        if step.does is Does.REMOVE:
            return Request("DELETE", f"{path}/{said['id']}")
        change = _with_webhook_id(_changed(step, sent, wanted), _changed(step, sent, wanted), estate)
        return Request("PATCH", f"{path}/{said['id']}", change | ({"version": said["version"]} if versioned else {}))

    return request


def _webhook(step: Step, sent: dict[str, Any], wanted: Fields, estate: Estate) -> Request:
    made = _by_id("/api/v1/webhooks", versioned=True)(step, sent, wanted, estate)
    if (
        step.does is Does.ADD
    ):  # the form says the profile even where the file leaves it to us: never by the shape of the request
        return made._replace(body=made.body | {"profile": wanted["profile"]})
    return made


def _with_webhook_id(body: dict[str, Any], said: dict[str, Any], estate: Estate) -> dict[str, Any]:
    """Return a body with a webhook's id in the place of its name, which it may have been given just now."""
    if "webhook" not in said:
        return body
    rest = {name: value for name, value in body.items() if name != "webhook"}
    if (name := said["webhook"]) is None:
        return rest | {"webhook_id": None}
    estate.forget("webhooks")
    answers = estate.present("webhooks").answers
    if name not in answers:
        raise CommandError(f"There is no webhook {name!r} that a redaction rule could be for.", USAGE)
    return rest | {"webhook_id": answers[name]["id"]}


def _of_group(path: str, method: str) -> Callable[..., Request]:
    def request(_: Step, sent: dict[str, Any], wanted: Fields, estate: Estate) -> Request:
        body = sent if method == "PATCH" else wanted | sent
        return Request(method, f"/api/v1/groups/{quote(estate.group, safe='')}/{path}", body)

    return request


def _default_limits(_: Step, sent: dict[str, Any], wanted: Fields, estate: Estate) -> Request:
    return Request("PATCH", "/api/v1/limits", sent)


_REQUESTS: Final[dict[str, Callable[..., Request]]] = {
    "installation.groups": _by_name("/api/v1/groups", name="id"),
    "installation.limits": _default_limits,
    "installation.tables": _by_name("/api/v1/tables", whole=True),
    "limits": _of_group("limits", "PATCH"),
    "egress": _of_group("egress", "PUT"),
    "event_types": _by_name("/api/v1/event-types", whole=True),
    "collections": _by_name("/api/v1/collections"),
    "integrations": _by_name("/api/v1/integrations"),
    "webhooks": _webhook,
    "jobs": _by_id("/api/v1/cron"),
    "redaction": _by_id("/api/v1/redaction-rules"),
}


def unnamed(estate: Estate, sections: Collection[str]) -> list[tuple[str, str, list[str]]]:
    """Return the names that several things of these sections have: section, name, ids."""
    return [(one, name, ids) for one in sections for name, ids in estate.present(one).unnamed.items()]
