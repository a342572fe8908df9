"""One frozen object with every setting. `configured` builds it at the edge."""

import os
from pathlib import Path

import msgspec

from tidings.core.egress import Egress, parse_hosts
from tidings.core.hops import DEFAULT_DEPTH
from tidings.core.networks import Network, parse_networks, parse_ports
from tidings.core.proxy import Proxy, parse_proxy
from tidings.core.statistics import DEFAULT_SERIES

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

    def __repr__(self) -> str:
        """Show every setting but keys and passwords."""
        hidden = {
            "admin_key", "metrics_key", "secret_key", "new_secret_key", "database_url", "sql_jobs", "proxy",
            "oidc_client_secret", "stream",
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


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())
