"""The servers that are kept, and their keys.

Addresses are in one file below the user's configuration. A key is in the system's keyring where there is one; otherwise in that
file, which nobody but its owner may read.
"""

import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from tidings.cli.remote.failures import FAILED, USAGE, CommandError

_SERVICE: Final = "tidings"
_FILE: Final = "servers.json"


class Kept(NamedTuple):
    """A server that is kept. `key`: None where the keyring has it."""

    name: str
    url: str
    group: str | None
    key: str | None


class Book(NamedTuple):
    """All that are kept, and which is meant when none is named."""

    chosen: str | None
    servers: dict[str, Kept]


def folder() -> Path:
    """Return where the file is."""
    from platformdirs import user_config_path

    return user_config_path("tidings")


def read() -> Book:
    """Read what is kept.

    Raises:
        CommandError: The file cannot be read, or others can read it.
    """
    path = folder() / _FILE
    try:
        with path.open(encoding="utf-8") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise CommandError(f"Others may read {path}, which has keys. Run: chmod 600 {path}", FAILED)
            said = json.load(file)
        servers = {
            name: Kept(name, str(one["url"]), one.get("group"), one.get("key")) for name, one in dict(said["servers"]).items()
        }
        return Book(said.get("chosen"), servers)
    except FileNotFoundError:
        return Book(None, {})
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} is not what tidings login wrote. Remove it, and sign in again.") from error


def keep(name: str, url: str, group: str | None, key: str) -> bool:
    """Keep a server, as the one that is meant when none is named. Return whether the keyring has its key."""
    book = read()
    in_ring = _put_in_ring(name, key)
    servers = book.servers | {name: Kept(name, url, group, None if in_ring else key)}
    _write(Book(name, servers))
    return in_ring


def choose(name: str) -> Kept:
    """Make a server the one that is meant when none is named.

    Raises:
        CommandError: There is none of that name.
    """
    book = read()
    if name not in book.servers:
        raise CommandError(unknown(name, book), USAGE)
    _write(Book(name, book.servers))
    return book.servers[name]


def forget(name: str) -> None:
    """Forget a server and its key.

    Raises:
        CommandError: There is none of that name.
    """
    book = read()
    if name not in book.servers:
        raise CommandError(unknown(name, book), USAGE)
    ring = _ring()
    if ring is not None and book.servers[name].key is None:
        with suppress(ring.errors.KeyringError):  # it has none any more
            ring.delete_password(_SERVICE, name)
    servers = {kept.name: kept for kept in book.servers.values() if kept.name != name}
    chosen = book.chosen if book.chosen in servers else next(iter(servers), None)
    _write(Book(chosen, servers))


def key_of(kept: Kept) -> str | None:
    """Return the key of a server that is kept; None where it is nowhere."""
    if kept.key is not None:
        return kept.key
    ring = _ring()
    if ring is None:
        return None
    try:
        found: str | None = ring.get_password(_SERVICE, kept.name)
    except ring.errors.KeyringError as error:
        raise CommandError(f"The keyring cannot be read ({error}). Unlock it, or set TIDINGS_KEY.") from error
    return found


def unknown(name: str, book: Book) -> str:
    """Return the sentence for a name under which no server is kept."""
    there_are = f"There are {', '.join(book.servers)}." if book.servers else "None is."
    return f"No server is kept as {name!r}. {there_are} Keep one with: tidings login URL"


def name_for(url: str, book: Book) -> str:
    """Return the name of a server that is given none: what it has, else its host, with its port where that is another's."""
    for kept in book.servers.values():
        if kept.url == url:
            return kept.name
    parts = urlsplit(url)
    host = parts.hostname or url
    return host if host not in book.servers else parts.netloc


def _write(book: Book) -> None:
    """Write the file whole or not at all, readable by its owner alone from the first byte."""
    place = folder()
    servers = {
        kept.name: {name: value for name, value in kept._asdict().items() if name != "name" and value is not None}
        for kept in book.servers.values()
    }
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, path = tempfile.mkstemp(dir=place)  # 0600 by its nature
        try:
            with open(number, "w", encoding="utf-8") as file:
                json.dump({"chosen": book.chosen, "servers": servers}, file, indent=2)
                file.write("\n")
            Path(path).replace(place / _FILE)
        finally:
            Path(path).unlink(missing_ok=True)  # keys are in it
    except OSError as error:
        raise CommandError(f"{place / _FILE} cannot be written: {error.strerror}.") from error


def _ring() -> Any:
    """Return the system's keyring; None where there is none."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    return keyring if float(keyring.get_keyring().priority) > 0 else None


def _put_in_ring(name: str, key: str) -> bool:
    ring = _ring()
    if ring is None:
        return False
    try:
        ring.set_password(_SERVICE, name, key)
    except ring.errors.KeyringError:
        return False  # locked, or without a session: the file keeps it
    return True
