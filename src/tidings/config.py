"""One frozen object with every setting, built at the edge from environment, TOML file and flags."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tidings.core.api_key import MAX_KEY
from tidings.core.egress import Egress, parse_hosts
from tidings.core.errors import InvalidInputError, StartupError
from tidings.core.fleet import check_name
from tidings.core.homes import check_homes, parse_homes
from tidings.core.hops import DEFAULT_DEPTH
from tidings.core.networks import EVERYTHING, Network, parse_networks, parse_ports
from tidings.core.oidc import PATH as SIGN_IN_PATH
from tidings.core.oidc import is_safe
from tidings.core.proxy import Proxy, parse_proxy
from tidings.core.roles import parse_email
from tidings.core.statistics import DEFAULT_SERIES

_BOUNDS = {
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
_LISTS = (
    "allow_private_networks",
    "deny_networks",
    "allow_ports",
    "deny_ports",
    "http_hosts",
    "trusted_proxies",
    "oidc_domains",
    "owners",
)

DATA_DIR = Path(".tidings")  # where one stands


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting. Each can be given as `TIDINGS_<NAME>`, as `<name>` in the TOML file, or as a flag.

    Attributes:
        database_url: PostgreSQL to use, `postgresql://…`. None: an embedded one in `data_dir`.
        request_role: The role of PostgreSQL that queries of requests run under, which sees the rows of one group: made at the
            first start, where our own role may make roles. `none`: they run with all rights of our own, and nothing but our own
            SQL keeps groups apart.
        running_role: A role of PostgreSQL that is to run Tidings without owning its schema; `tidings migrate`, as the owner,
            gives it what it needs. None: whoever migrates runs it too.
        data_dir: Where the embedded PostgreSQL and a generated secret key live (`key_file`).
        admin_key: The first key of the API. None: made at the first start and printed once.
        secret_key: Encrypts webhook secrets at rest. None: made at the first start, in `key_file`.
        new_secret_key: What `tidings rekey` changes `secret_key` to.
        allow_private_networks: Networks that webhooks may reach although they are not public, as CIDRs with commas;
            `all` allows every one.
        deny_networks: Networks that are never called, public or not, as CIDRs with commas. They outweigh all else.
        allow_ports: The only ports that are called, such as `443,8000-8999`. Empty: all but those of other protocols.
        deny_ports: Ports that are never called.
        http_hosts: Hosts that may be called over plain http://, with commas; `*.` before one stands for all below it. None:
            what `allow_private_networks` allows; `none`: no host.
        allow_http: Call http:// URLs everywhere.
        proxy: The forward proxy that everything goes out by, `http://user:password@host:port`. It resolves
            the names. None: there is none.
        ca_file: Authorities that receivers' certificates may come from beside the system's: a file in PEM form. It is read at
            the start.
        host: Address the API listens on.
        port: Port the API listens on; 0 lets the system choose.
        workers: Processes that dispatch and deliver, beside the API.
        retention_days: How long events, deliveries and attempts are kept.
        payload_retention_hours: How long payloads are kept, where that is shorter; the records of events, deliveries and
            attempts stay. 0: as long as history.
        audit_days: How long entries of the audit are kept.
        public_url: Where the API is reached from outside, for links; also who its tokens say has signed them. None: links are
            made for browsers on this machine alone.
        trusted_proxies: Networks of the proxies in front that are believed whom they ask for (`X-Forwarded-For`) and by which
            scheme (`X-Forwarded-Proto`), as CIDRs with commas.
        default_profile: The profile of webhooks that are created without one. None: what their shape shows.
        sql_jobs: Group to the PostgreSQL URL that its scheduled SQL runs with, as that URL's role: a TOML table, or JSON. A
            group that is not named has no SQL jobs.
        log_format: `text` or `json`.
        log_level: `debug`, `info`, `warning` or `error`. `debug` also logs every delivered attempt.
        log_attempts: Log one line for each attempt, delivered or not, with all that is known of it but what was sent.
        max_body_bytes: Largest body the API accepts.
        stop_grace_seconds: How long a stop waits for requests that are under way.
        customer_webhooks: How many webhooks the customers of a group may make by portal links.
        customer_calls_per_minute: How many tests, retries, recoveries and checks of a URL the customers of a group may ask
            for in a minute.
        max_in_flight: Attempts one worker process has under way at once; those slower than a second count apart.
        metrics_key: Opens `/metrics` and `/openapi.json` and nothing else. None: the admin key alone opens them.
        metrics_address: Where `/metrics` is answered without a key, such as `127.0.0.1:9464`; beside `/healthz` and `/readyz`.
        open_documents: Answer `/metrics` and `/openapi.json` without a key, to everybody.
        metrics_webhooks: How many webhooks `/metrics` counts apart: the first that deliver anything. The rest are counted
            together.
        max_connections: Connections that clients may have at once. 0: as many as there are descriptors for, at most 4096.
        max_connections_per_address: Of those, how many one address may have. 0: half of them. A trusted proxy may have all.
        max_header_bytes: Largest head of a request.
        header_seconds: How long a request's head may take to come.
        body_seconds: How long a request's body may take to come.
        idle_seconds: How long a connection is kept between two requests.
        loop_depth: How many deliveries may lead to an event, one from the other, before it is delivered no more.
        oidc_issuer: The provider that people sign in to the portal at (OpenID Connect), as it calls itself. None: they sign in
            with keys alone. It needs `public_url`, where it leads back to.
        oidc_client_id: What this installation is called there.
        oidc_client_secret: Its secret there. None: it has none, and PKCE alone protects the code.
        oidc_client_secret_file: A file that holds it instead.
        oidc_name: What the button calls the provider. None: the host of `oidc_issuer`.
        oidc_domains: The domains that addresses of members must be of, with commas. None: any.
        oidc_trust_unverified_email: Believe addresses of which the provider does not say whether they are verified; for
            providers that never say, and let nobody choose an address.
        owners: Addresses of those who are owners of all groups when they sign in by the provider, with commas.
        stream: Where the NATS servers of a fleet are, `nats://host:4222` or `tls://…`, several with commas. None: this
            installation is no part of a fleet.
        stream_credentials: A file of NATS credentials (`.creds`) to sign in there with.
        home: The home of the fleet that this database is: what comes by the stream for it is delivered from here.
        source: What this database is called in the fleet where it is a source (`tidings relay`).
        homes: Where the APIs of the fleet's homes are, `eu=https://eu.internal us=https://us.internal`: each home then answers
            for groups of the others too, by asking them. None: it answers for its own alone.
        homes_key: What homes know each other by: 32 random characters or more, the same at all of them. Whoever has it may
            act at every home as anybody.
    """

    database_url: str | None = None
    request_role: str = "tidings_request"
    running_role: str | None = None
    data_dir: Path = DATA_DIR
    admin_key: str | None = None
    secret_key: str | None = None
    new_secret_key: str | None = None
    allow_private_networks: str = ""
    deny_networks: str = ""
    allow_ports: str = ""
    deny_ports: str = ""
    http_hosts: str | None = None
    allow_http: bool = False
    proxy: str | None = None
    ca_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    retention_days: int = 30
    payload_retention_hours: int = 0
    audit_days: int = 400
    public_url: str | None = None
    trusted_proxies: str = ""
    default_profile: str | None = None
    sql_jobs: dict[str, str] = {}
    log_format: str = "text"
    log_level: str = "info"
    log_attempts: bool = False
    max_body_bytes: int = 1_048_576
    stop_grace_seconds: float = 35.0
    max_in_flight: int = 2048
    metrics_key: str | None = None
    metrics_address: str | None = None
    open_documents: bool = False
    metrics_webhooks: int = DEFAULT_SERIES
    max_connections: int = 0
    max_connections_per_address: int = 0
    max_header_bytes: int = 32_768
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    loop_depth: int = DEFAULT_DEPTH
    customer_webhooks: int = 50
    customer_calls_per_minute: int = 30
    oidc_issuer: str | None = None
    oidc_client_id: str = ""
    oidc_client_secret: str | None = None
    oidc_client_secret_file: Path | None = None
    oidc_name: str | None = None
    oidc_domains: str = ""
    oidc_trust_unverified_email: bool = False
    owners: str = ""
    stream: str | None = None
    stream_credentials: Path | None = None
    home: str | None = None
    source: str | None = None
    homes: str | None = None
    homes_key: str | None = None

    def __repr__(self) -> str:
        """Show every setting but keys and passwords."""
        hidden = {
            "admin_key", "metrics_key", "secret_key", "new_secret_key", "database_url", "sql_jobs", "proxy",
            "oidc_client_secret", "stream", "homes_key",
        }  # fmt: skip
        shown = (
            f"{name}={'***' if name in hidden and getattr(self, name) else getattr(self, name)!r}"
            for name in self.__struct_fields__
        )
        return f"Config({', '.join(shown)})"

    @property
    def key_file(self) -> Path:
        """Where the secret key is kept, when the settings do not say it.

        With the embedded PostgreSQL, or in a `data_dir` that was chosen: there. With a database of one's own it does not
        hang on the
        folder that one stands in: it is the user's, in $XDG_DATA_HOME, unless there is one in `.tidings` from before it was so.
        """
        beside = self.data_dir.absolute() / "secret_key"
        if self.database_url is None or self.data_dir != DATA_DIR or beside.exists():
            return beside
        data = Path(os.environ.get("XDG_DATA_HOME") or "")
        if not data.is_absolute():
            home = Path(os.path.expanduser("~"))
            if not home.is_absolute():  # "~": the user has none, as some in containers
                return beside
            data = home / ".local" / "share"
        return data / "tidings" / "secret_key"

    @property
    def egress(self) -> Egress:
        """What may be called.

        Raises:
            InvalidInputError: A list cannot be read; `load_config` has refused it.
        """
        hosts = self.http_hosts
        return Egress(
            allowed=parse_networks(self.allow_private_networks.split(","), "allow_private_networks"),
            denied=parse_networks(self.deny_networks.split(","), "deny_networks"),
            ports=parse_ports(self.allow_ports.split(","), "allow_ports") or None,
            denied_ports=parse_ports(self.deny_ports.split(","), "deny_ports"),
            http_hosts=None if hosts is None else parse_hosts([] if hosts == "none" else hosts.split(","), "http_hosts"),
            allow_http=self.allow_http,
            is_proxied=self.proxy is not None,
        )

    @property
    def forward_proxy(self) -> Proxy | None:
        """The proxy of `proxy`."""
        return None if self.proxy is None else parse_proxy(self.proxy)

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        """The networks of `trusted_proxies`."""
        return parse_networks(self.trusted_proxies.split(","), "trusted_proxies")

    @property
    def oidc_domain_names(self) -> tuple[str, ...]:
        """The domains of `oidc_domains`."""
        return _parts(self.oidc_domains)

    @property
    def owner_emails(self) -> tuple[str, ...]:
        """The addresses of `owners`."""
        return _parts(self.owners)


def load_config(
    flags: Mapping[str, Any] | None = None, *, file: Path | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Build the configuration: flags outweigh the TOML file, which outweighs the environment.

    Args:
        flags: Settings from the command line; None values count as absent.
        file: A TOML file; also named by `TIDINGS_CONFIG`.
        environ: The environment; the process's own when None.

    Raises:
        StartupError: A setting is unknown or has a value it cannot have.
    """
    environ = os.environ if environ is None else environ
    prefix = "TIDINGS_"
    values: dict[str, Any] = {
        name: environ[prefix + name.upper()] for name in Config.__struct_fields__ if environ.get(prefix + name.upper())
    }
    path = file or (Path(environ[prefix + "CONFIG"]) if environ.get(prefix + "CONFIG") else None)
    if path is not None:
        values |= _read_file(path)
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
    for name, (low, high) in _BOUNDS.items():
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
        if config.stream is None:
            raise StartupError("home is set and stream is not: say where the stream is that brings what is to be delivered.")
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


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


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
