"""The settings as they are given: in a TOML file, the environment and flags; read, and refused where they cannot be meant."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tidings.config import Config
from tidings.core.api_key import MAX_KEY
from tidings.core.errors import InvalidInputError, StartupError
from tidings.core.fleet import check_name
from tidings.core.homes import check_homes, parse_homes
from tidings.core.networks import EVERYTHING
from tidings.core.oidc import PATH as SIGN_IN_PATH
from tidings.core.oidc import is_safe
from tidings.core.roles import parse_email

BOUNDS: Final = {
    "workers": (1, 64),
    "retention_days": (1, 3650),
    "payload_retention_hours": (0, 87_600),
    "audit_days": (1, 3650),
    "port": (0, 65535),
    "max_in_flight": (1, 100_000),
    "max_connections": (0, 1_000_000),
    "max_connections_per_address": (0, 1_000_000),
    "max_header_bytes": (1024, 1_048_576),
    "header_seconds": (0.1, 3600),
    "body_seconds": (0.1, 3600),
    "idle_seconds": (0.1, 3600),
    "loop_depth": (1, 1000),
    "metrics_webhooks": (0, 1000),
    "customer_webhooks": (0, 10_000),
    "customer_calls_per_minute": (1, 10_000),
}
# Lists with commas, or in a TOML file as lists.
_LISTS: Final = (
    "allow_private_networks",
    "deny_networks",
    "allow_ports",
    "deny_ports",
    "http_hosts",
    "trusted_proxies",
    "oidc_domains",
    "owners",
)


def load_config(
    flags: Mapping[str, Any] | None = None, *, file: Path | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Build the configuration: flags outweigh the environment, which outweighs the TOML file.

    Args:
        flags: Settings from the command line; None values count as absent.
        file: A TOML file; also named by `TIDINGS_CONFIG`.
        environ: The environment; the process's own when None.

    Raises:
        StartupError: A setting is unknown or has a value it cannot have.
    """
    environ = os.environ if environ is None else environ
    prefix = "TIDINGS_"
    path = file or (Path(environ[prefix + "CONFIG"]) if environ.get(prefix + "CONFIG") else None)
    values = {} if path is None else _read_file(path)
    values |= {name: environ[prefix + name.upper()] for name in Config.__struct_fields__ if environ.get(prefix + name.upper())}
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    return _build(values)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise StartupError(f"The configuration file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartupError(f"The configuration file {path} is not TOML: {error}.") from error
    unknown = sorted(set(values) - set(Config.__struct_fields__))
    if unknown:
        raise StartupError(f"The configuration file {path} has the unknown setting {unknown[0]!r}.")
    return values


def _build(values: dict[str, Any]) -> Config:
    _shape(values)
    try:
        if isinstance(values.get("sql_jobs"), str):
            values["sql_jobs"] = msgspec.json.decode(values["sql_jobs"], type=dict[str, str])
        config = msgspec.convert(values, Config, strict=False)
    except msgspec.DecodeError as error:
        raise StartupError(f"A setting cannot be read: {error}.") from error
    for name, (low, high) in BOUNDS.items():
        if not low <= getattr(config, name) <= high:
            raise StartupError(f"{name} is {getattr(config, name)}; write {low} to {high}.")
    if config.metrics_address is not None:
        parse_address(config.metrics_address)
    _check_networks(config)
    if config.public_url is not None:
        _check_public_url(config.public_url)
    _check_admin_key(config.admin_key or "")
    config = _with_sign_in(config)
    if config.home is not None:
        check_name(config.home, "home")
    if config.homes is not None:
        check_homes(parse_homes(config.homes), home=config.home, key=config.homes_key)
    if config.log_format not in {"text", "json"}:
        raise StartupError(f"log_format is {config.log_format!r}; write text or json.")
    if config.log_level not in {"debug", "info", "warning", "error"}:
        raise StartupError(f"log_level is {config.log_level!r}; write debug, info, warning or error.")
    return config


def log_format_of(given: str | None, *, file: Path | None) -> str:
    """Return the form of the log, also where other settings cannot be read.

    Args:
        given: By a flag.
        file: A TOML file with settings.
    """
    try:
        return load_config({} if given is None else {"log_format": given}, file=file).log_format
    except StartupError:
        return given or os.environ.get("TIDINGS_LOG_FORMAT", "text")


def _check_networks(config: Config) -> None:
    """Refuse lists that cannot be read now, and not when something is sent."""
    try:
        config.egress, config.forward_proxy  # noqa: B018
        trusted = config.trusted_networks
    except InvalidInputError as error:
        raise StartupError(error.message) from error
    if trusted == EVERYTHING:
        raise StartupError("trusted_proxies cannot be all: then anybody could say who they are. Name the proxy's own address.")


def _shape(values: dict[str, Any]) -> None:
    """Give values the shape that they are read in: lists with commas, paths as such."""
    for name in _LISTS:
        if isinstance(values.get(name), list):
            values[name] = ",".join(map(str, values[name]))
    if values.get("http_hosts") == "":
        values["http_hosts"] = "none"  # an empty list
    for name in ("data_dir", "ca_file", "oidc_client_secret_file"):
        if name in values:
            values[name] = Path(values[name])


def _with_sign_in(config: Config) -> Config:
    """Return the settings with what is needed to sign in by a provider."""
    try:
        for email in config.owner_emails:
            parse_email(email)
    except InvalidInputError as error:
        raise StartupError(f"owners cannot be read: {error.message}") from error
    if config.oidc_issuer is None:
        return config
    if not is_safe(config.oidc_issuer) or "?" in config.oidc_issuer:
        raise StartupError(
            f"oidc_issuer is {config.oidc_issuer!r}; write an https address, such as https://accounts.google.com."
        )
    if not config.oidc_client_id:
        raise StartupError("oidc_issuer is set, and oidc_client_id is not: write what the provider calls this installation.")
    if config.public_url is None:
        raise StartupError(
            "oidc_issuer is set, and public_url is not: the provider leads browsers back to an address that it knows. Set "
            "TIDINGS_PUBLIC_URL, such as https://webhooks.example.com, and register that address with "
            f"{SIGN_IN_PATH} behind it at the provider."
        )
    if config.oidc_client_secret_file is None:
        return config
    if config.oidc_client_secret is not None:
        raise StartupError("oidc_client_secret and oidc_client_secret_file are both set; write one of them.")
    try:
        secret = config.oidc_client_secret_file.read_text().strip()
    except (OSError, UnicodeError) as error:
        raise StartupError(f"oidc_client_secret_file {config.oidc_client_secret_file} cannot be read: {error}.") from error
    return msgspec.structs.replace(config, oidc_client_secret=secret, oidc_client_secret_file=None)


def _check_admin_key(key: str) -> None:
    if not key.isascii() or len(key) > MAX_KEY:
        raise StartupError(f"admin_key can be no key: write at most {MAX_KEY} characters of ASCII, such as 40 random letters.")


def _check_public_url(text: str) -> None:
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or "@" in text or "?" in text or "#" in text or not (text.isascii() and text.isprintable()) or " " in text:
        raise StartupError(f"public_url is {text!r}; write a scheme and a host, such as https://webhooks.example.com.")


def parse_address(text: str) -> tuple[str, int]:
    """Read an address to listen on, `127.0.0.1:9464` or `[::1]:9464`.

    Raises:
        StartupError: It is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65535:
        raise StartupError(f"metrics_address is {text!r}; write an address and a port, such as 127.0.0.1:9464.")
    return host.strip("[]"), int(port)
