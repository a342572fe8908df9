"""What may be called from an installation, as the API answers with it."""

import msgspec


class EgressRules(msgspec.Struct, frozen=True):
    """What the settings of an installation allow to be called.

    Attributes:
        ports: Only these; empty: all but those of other protocols.
        http_hosts: None: plain http:// goes to `allowed_networks`.
        proxy: What everything goes out by, without user and password.
    """

    allowed_networks: list[str]
    denied_networks: list[str]
    ports: str
    denied_ports: str
    allow_http: bool
    http_hosts: list[str] | None = None
    proxy: str | None = None


class JudgedAddress(msgspec.Struct, frozen=True):
    """An address of a name, and why it may not be called; None: it may."""

    address: str
    cause: str | None = None


class Judgement(msgspec.Struct, frozen=True):
    """Whether a URL may be called. `sentence`: what whoever writes it is told when not; `cause`: which rule it is."""

    url: str
    group: str
    is_allowed: bool
    addresses: list[JudgedAddress]
    sentence: str | None = None
    cause: str | None = None


class Narrowing(msgspec.Struct, frozen=True):
    """What a group may not call although the installation may. `networks` and `ports`: only these, where there are any."""

    networks: list[str] = []
    denied_networks: list[str] = []
    ports: list[str] = []
    denied_ports: list[str] = []
    https_only: bool = False
