"""The server that a command speaks to: who it is, one request, a list to its end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit

import click
import httpx
import msgspec

from tidings import __version__
from tidings.cli.remote import profiles
from tidings.cli.remote.failures import NOT_ALLOWED, NOT_FOUND, USAGE, CommandError
from tidings.cli.remote.grammar import UUID, Thing, Verb
from tidings.cli.remote.things import NAMED_BY, THINGS
from tidings.client.errors import ApiError
from tidings.client.exchange import answer_of, is_done_already, is_worth_retrying, pause_before, unreachable
from tidings.core.api_key import KEY_REQUIRED
from tidings.core.near import MAX_KNOWN, did_you_mean

TIMEOUT: Final = 30.0  # seconds
TEST_TIMEOUT: Final = 330.0  # a test waits for the receiver, whose own limit may be five minutes
RETRIES: Final = 2
PAGE: Final = 200  # entries that are asked for at once


class Server:
    """One server, and the key for it."""

    def __init__(
        self, url: str, key: str | None, group: str | None, home: str | None = None, *, timeout: float = TIMEOUT
    ) -> None:
        headers = {"User-Agent": f"tidings/{__version__}"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if group:
            headers["X-Tidings-Group"] = quote(group)  # as the SDKs do: a header carries ASCII
        if home:
            headers["X-Tidings-Home"] = quote(home)
        self.url = url
        self.headers = headers
        self.key = key
        self.group = group
        self.away = ""  # homes of a fleet that a list was read without, by `walk`
        try:
            # Without TLS there is nothing to verify, and to read the authorities takes longer than most calls.
            self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, verify=url.startswith("https:"))
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise CommandError(f"{url!r} cannot be called: {error}.", USAGE) from error
        command = click.get_current_context(silent=True)
        if command is not None:
            command.call_on_close(self.close)

    def close(self) -> None:
        """Close its connections; at the end of the command it is done by itself."""
        self._http.close()

    def send(
        self, method: str, path: str, *, query: Any = None, body: Any = None, timeout: float | None = None
    ) -> httpx.Response:
        """Make a request and return its answer, a good one. What can be done twice is tried again.

        Raises:
            ApiError: The server refused, or none answered.
        """
        headers = {} if body is None else {"Content-Type": "application/json"}
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        tries = 1 if method == "POST" else RETRIES + 1
        number = 0
        while True:
            is_last = number == tries - 1
            response = None
            try:
                response = self._http.request(method, path, params=query, content=content, headers=headers, **options)
                if is_last or not is_worth_retrying(response):
                    break
            except httpx.TransportError as error:
                if is_last:
                    raise self.unreachable(error) from error
            except (httpx.InvalidURL, UnicodeError) as error:
                raise CommandError(f"{self.url!r} cannot be called: {error}.", USAGE) from error
            time.sleep(pause_before(number, response))
            number += 1
        if number:
            response = is_done_already(method, response)
        if not response.is_success:
            self.refuse(response, path)
        return response

    @contextmanager
    def stream(self, path: str, *, query: Any, silence: float) -> Iterator[Iterator[tuple[str, Any]] | None]:
        """Follow a stream of server-sent events: each with its name and what it says. None: the server has no such stream.

        Args:
            silence: Seconds without a sign after which the server counts as away.

        Raises:
            ApiError: The server refused, or it went away.
        """
        try:
            with self._http.stream("GET", path, params=query, timeout=httpx.Timeout(TIMEOUT, read=silence)) as response:
                if response.status_code in {404, 405}:
                    yield None
                    return
                if not response.is_success:
                    response.read()
                    self.refuse(response, path)
                yield _events(response.iter_lines())
        except httpx.TransportError as error:
            raise self.unreachable(error) from error

    def ask(self, method: str, path: str, *, query: Any = None, body: Any = None, timeout: float | None = None) -> Any:
        """Make a request and return what its answer says.

        Raises:
            ApiError: The server refused, or none answered.
        """
        return _said(self.send(method, path, query=query, body=body, timeout=timeout))

    def walk(self, verb: Verb, path: str, query: dict[str, Any], body: Any, limit: int | None) -> Iterator[Any]:
        """Read a list, page by page, until it or the limit is at its end.

        Raises:
            ApiError: The server refused, or none answered.
        """
        way, _, field = verb.pages.partition(":")
        read, query = 0, dict(query)
        while True:
            size = PAGE if limit is None else min(PAGE, limit - read)
            if way == "numbers":
                query |= {"page": query.get("page", 1), "perPage": PAGE}  # of one size: a number means a place only then
            elif way != "whole":
                query["limit"] = size
            response = self.send(verb.method, path, query=query, body=body)
            self.away = response.headers.get("tidings-homes-away", self.away)
            said = _said(response)
            items = said[verb.inside] if verb.inside else said
            for item in items:
                if limit is not None and read == limit:
                    return
                read += 1
                yield item
            query = _next(way, field, query, response, said, items, size)
            if not query or (limit is not None and read >= limit):
                return

    def list_of(self, thing: Thing, limit: int) -> list[Any]:
        """Return some of a thing, for names."""
        verb = thing.verb("list")
        return list(self.walk(verb, verb.path, {}, None, limit))

    def id_of(self, thing: Thing, text: str) -> str:
        """Return the id of one that is named by its id, the beginning of that, or its label.

        Raises:
            CommandError: None is named so, or several are.
        """
        if not thing.label or UUID.fullmatch(text):
            return text
        all_ = self.list_of(thing, MAX_KNOWN)
        found = [one for one in all_ if one[thing.label] == text] or [
            one for one in all_ if len(text) >= 4 and one[thing.key].startswith(text.lower())
        ]
        if len(found) == 1:
            return str(found[0][thing.key])
        if found:
            ids = ", ".join(str(one[thing.key]) for one in found[:5])
            raise CommandError(f"{len(found)} {thing.name} are called {text!r}: {ids}. Name one by its id.", USAGE)
        near = did_you_mean(text, [one[thing.label] for one in all_])
        raise CommandError(f"There is no {thing.one} {text!r}.{near}", NOT_FOUND, code="NOT_FOUND")

    def near(self, thing: Thing, text: str) -> str:
        """Return which of a thing may be meant, as ` Did you mean …?`; nothing when none is near, or none can be listed."""
        if thing.name in {"events", "deliveries"}:
            return ""
        try:
            return did_you_mean(text, [str(one[thing.key]) for one in self.list_of(thing, MAX_KNOWN)])
        except ApiError:
            return ""

    def refuse(self, response: httpx.Response, path: str) -> None:
        """Raise what a refusal means.

        Raises:
            ApiError: With the server's sentence, and the remedy where the server cannot know it.
        """
        try:
            answer_of(response, object)
        except ApiError as error:
            remedy = ""
            if response.status_code == 401:
                # Whoever has a key that is over is told what became of it; of any other key the server says nothing.
                known = "" if error.message == KEY_REQUIRED else f" {error.message}"
                error.message = f"{self.url} does not take this key.{known}"
                remedy = f" Sign in with: tidings login {self.url}, or set TIDINGS_KEY."
            elif response.is_redirect:
                remedy = f" It sends elsewhere, to {response.headers.get('location', '?')}: name that address."
            elif response.status_code == 404 and error.message == f"There is no {path}.":
                raise CommandError(self._is_older(path), code="OLDER_SERVER") from error
            elif response.status_code == 404 and error.code == "HTTP_ERROR":
                remedy = " Is this address Tidings?"
            raise ApiError(
                error.message + remedy, status=error.status, code=error.code, field=error.field, details=error.details
            ) from error

    def _is_older(self, path: str) -> str:
        try:
            version = _said(self._http.get("/openapi.json"))["info"]["version"]
        except (httpx.HTTPError, CommandError, KeyError, TypeError):
            version = "an unknown version"
        return f"{self.url} does not know {path}: it is {version}, and this command is of {__version__}. Upgrade the server."

    def unreachable(self, error: httpx.TransportError) -> ApiError:
        """Return the error for a server that did not answer, with the remedy."""
        known = unreachable(self.url, error)
        remedy = " Does it run there? Name another with --server, or keep it with: tidings login URL."
        return ApiError(known.message + remedy, status=0, code=known.code)


def chosen(
    server: str | None, key: str | None, group: str | None, home: str | None = None, *, timeout: float = TIMEOUT
) -> Server:
    """Return the server that is meant: by its name or URL, else the one that was signed in to last.

    Args:
        server: A name that is kept, or a URL.
        key: Outweighs the one that is kept.
        home: The home of a fleet that answers; None: whichever is reached.

    Raises:
        CommandError: None is named or kept, or there is no key for it.
    """
    book = profiles.read()
    if server is None and book.chosen is None:
        raise CommandError(
            "No server is named. Sign in to one: tidings login http://localhost:8080, or set TIDINGS_SERVER and TIDINGS_KEY.",
            USAGE,
        )
    name = server or book.chosen or ""
    if "://" in name:
        url = checked_url(name)
        kept = next((one for one in book.servers.values() if one.url == url), None)
    else:
        kept = book.servers.get(name)
        if kept is None:
            raise CommandError(profiles.unknown(name, book), USAGE)
        url = kept.url
    key = key or (profiles.key_of(kept) if kept is not None else None)
    if key is None:
        raise CommandError(f"There is no key for {url}. Sign in: tidings login {url}, or set TIDINGS_KEY.", NOT_ALLOWED)
    if not key.isascii() or not key.isprintable():
        raise CommandError("The key has characters that no key has; copy it again.", NOT_ALLOWED)
    return Server(url, key, group or (kept.group if kept is not None else None), home, timeout=timeout)


def _next(
    way: str, field: str, query: dict[str, Any], response: httpx.Response, said: Any, items: list[Any], size: int
) -> dict[str, Any]:
    """Return what to ask for the next page; nothing when this one was the last."""
    name, value, is_full = "cursor", None, len(items) == size
    match way:
        case "header":
            value = response.headers.get("tidings-next")
        case "member":
            value = said[field]
        case "last" if is_full:
            value = str(items[-1][field])
        case "before" if is_full:
            name, value = "before", items[-1][field]
        case "offset" if is_full:
            name, value = "offset", query.get("offset", 0) + len(items)
        case "numbers" if len(items) == query["perPage"]:
            name, value = "page", query["page"] + 1
        case _:
            pass
    return {} if value is None else query | {name: value}


def checked_url(text: str) -> str:
    """Return the address of a server as it is called.

    Raises:
        CommandError: It is none.
    """
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        is_one = False
    if not is_one or not url.isprintable() or " " in url:
        raise CommandError(f"{text!r} is no address of a server; write one such as http://localhost:8080.", USAGE)
    return url.rstrip("/")


def path_of(verb: Verb, given: dict[str, str]) -> str:
    """Return the path of a verb with its arguments in it."""
    return verb.path.format(**{name: quote(given[name], safe="") for name in verb.arguments})


def owner_of(thing: Thing, argument: str) -> Thing | None:
    """Return which thing an argument names; None: what has no list."""
    return THINGS.get(NAMED_BY.get(argument, "")) or (thing if argument == "name" else None)


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, msgspec.json.decode(value)


def _said(response: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(response.content) if response.content else None
    except msgspec.DecodeError as error:
        raise CommandError(f"{response.url.host} answered with what is not JSON. Is this address Tidings?") from error
