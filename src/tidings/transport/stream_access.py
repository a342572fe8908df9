"""How the stream is reached: its servers' URLs, the authorities that are believed, the file of credentials (docs/fleet.md)."""

import re
import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tidings.core.errors import StartupError

try:
    import nkeys
except ImportError as error:  # pragma: no cover - the extra is installed where tests run
    raise StartupError('TIDINGS_STREAM needs what "tidings[fleet]" brings. Run: pip install "tidings[fleet]"') from error

MAX_CREDENTIALS: Final = 100_000  # bytes of a file
_CREDENTIALS: Final = (
    re.compile(rb"BEGIN NATS USER JWT-*\n([^\s-][^\s]*)\n"),
    re.compile(rb"BEGIN USER NKEY SEED-*\n([A-Z2-7]+)\n"),
)


def urls_of(servers: str) -> list[str]:
    """Return the servers that TIDINGS_STREAM names.

    Raises:
        StartupError: One of them is none of NATS.
    """
    urls = [url.strip() for url in servers.split(",")]
    for url in urls:
        if urlsplit(url).scheme not in {"nats", "tls"} or not urlsplit(url).hostname:
            raise StartupError(f"TIDINGS_STREAM has {without_secrets(url)!r}. Write nats://host:port, several with commas.")
    return urls


def options_of(urls: list[str], credentials: Path | None, ca_file: Path | None) -> dict[str, Any]:
    """Return what the client is to be told of how to check servers, and how to sign in beside what URLs say.

    Raises:
        StartupError: A file cannot be read, or is none.
    """
    options: dict[str, Any] = {}
    if ca_file is not None or any(urlsplit(url).scheme == "tls" for url in urls):
        options["tls"] = _believing(ca_file)  # also for nats://, where a server asks for it
    if credentials is not None:
        _check_credentials(credentials)
        options["user_credentials"] = str(credentials)
    return options


def without_secrets(url: str) -> str:
    """Return a URL as it may be shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"[:200]


def _believing(ca_file: Path | None) -> ssl.SSLContext:
    """Return how certificates of servers are checked: by the system's authorities, and those of a file beside them."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # as ssl.SSLError is
            raise StartupError(
                f"The authorities in TIDINGS_CA_FILE {ca_file} cannot be read ({error.strerror or error}). Correct its path, "
                "or write them in PEM form."
            ) from error
    return context


def _check_credentials(path: Path) -> None:
    """Refuse what is no file of credentials: the client would look for their beginning for ever."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CREDENTIALS)
    except OSError as error:
        raise StartupError(f"TIDINGS_STREAM_CREDENTIALS {path} cannot be read ({error.strerror}).") from error
    jwt, seed = _CREDENTIALS[0].search(text), _CREDENTIALS[1].search(text)
    try:
        if jwt is None or seed is None:
            raise nkeys.ErrInvalidSeed
        nkeys.from_seed(bytearray(seed.group(1))).wipe()
    except (nkeys.NkeysError, ValueError) as error:
        raise StartupError(
            f"TIDINGS_STREAM_CREDENTIALS {path} has no credentials of NATS. Write there what this prints: nsc generate creds"
        ) from error
