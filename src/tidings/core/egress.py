"""What may be called: one policy, asked wherever a URL is saved, shown, tried or called.

The problem: a webhook's URL is written by a customer, and the request is made from inside the operator's network. The naive
way, looking at the URL when it is saved, is beaten by a name that resolves to something else later (rebinding) and by
addresses that are written as other addresses (::ffff:127.0.0.1, 6to4, NAT64). Our rule: every address is judged as the
number the connection is made to, at the time it is made, after unwrapping; only globally routable unicast passes, and
whatever the operator allows. What must stay in step: `transport.opening` connects to the very address judged here, or,
through a proxy, leaves names to the proxy and judges what is written as an address.

A refusal has two sentences. Whoever wrote the URL learns that it is not allowed here and what they can do; which rule
refused it, and what a name resolved to, is for the operator alone, since it tells how the network looks inside.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.narrowing import Narrowing
from tidings.core.networks import Address, Network, Span, is_public, read_address, unwrapped
from tidings.core.target import BAD_PORTS, Target, is_host

# Names that mean this machine or its cloud's metadata whatever DNS says (facts of seed 004's system).
_REFUSED_NAMES = (
    "localhost", "ip6-localhost", "ip6-loopback", "metadata", "metadata.google.internal", "instance-data",
    "kubernetes.default", "kubernetes.default.svc",
)  # fmt: skip
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NO_NARROWING = Narrowing()
MAX_HOSTS = 100

ASK = "ask whoever runs this installation to allow it"


class Refusal(NamedTuple):
    """Why something is not called.

    Attributes:
        sentence: For whoever wrote the URL: that it is not allowed here, and what they can do.
        cause: For the operator: what it is and which rule refuses it.
    """

    sentence: str
    cause: str


class Egress(msgspec.Struct, frozen=True, kw_only=True):
    """What an installation may call.

    Attributes:
        allowed: Networks that may be called although they are not public.
        denied: Networks that are never called; they outweigh all else.
        ports: Only these; None: all but those of other protocols.
        denied_ports: Not these.
        http_hosts: Hosts that may be called over plain http://; None: whatever is in `allowed`.
        allow_http: Everything that may be called may be called over plain http://.
        is_proxied: A proxy makes the connections and resolves the names.
    """

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()
    ports: tuple[Span, ...] | None = None
    denied_ports: tuple[Span, ...] = ()
    http_hosts: tuple[str, ...] | None = None
    allow_http: bool = False
    is_proxied: bool = False

    def refusal_of(self, target: Target, narrowing: Narrowing | None = None) -> Refusal | None:
        """Return why a target may not be called whatever its name resolves to, or None.

        Args:
            narrowing: Of the group that calls; None: it has none.
        """
        narrowed = narrowing or _NO_NARROWING
        refusal = self._refusal_of_port(target.port, narrowed) or self._refusal_of_name(target.host)
        if refusal is not None:
            return refusal
        if (address := read_address(target.host)) is not None:
            return self.refusal_of_address(str(address), target, narrowing)
        if not target.is_tls and not self._may_be_plain(target.host, narrowed):
            return Refusal(_plain(target.host), f"Plain http:// is not allowed to {target.host}.")
        if self.is_proxied and narrowed.networks:
            return Refusal(
                f"{target.host} is not allowed here: this group may call certain addresses only. Write an address, or {ASK}.",
                "Names are resolved by the proxy, so nobody here knows whether this one is in the networks of the group.",
            )
        return None

    def refusal_of_address(self, text: str, target: Target, narrowing: Narrowing | None = None) -> Refusal | None:
        """Return why an address may not be called for a target, or None.

        Args:
            text: As `getaddrinfo` gives it, perhaps with a zone index.
            narrowing: Of the group that calls; None: it has none.
        """
        narrowed = narrowing or _NO_NARROWING
        written = read_address(text)
        cause = f"{text} is no address." if written is None else self._cause(written, target, narrowed)
        return None if cause is None else Refusal(_not_here(target), cause)

    def callable_ones(
        self, found: Sequence[str], target: Target, narrowing: Narrowing | None = None
    ) -> tuple[list[str], Refusal | None]:
        """Return those of a name's addresses that may be called, and the first refusal of another."""
        refusals = [self.refusal_of_address(address, target, narrowing) for address in found]
        may_be = [address for address, refusal in zip(found, refusals, strict=True) if refusal is None]
        return may_be, next((refusal for refusal in refusals if refusal is not None), None)

    def _cause(self, written: Address, target: Target, narrowed: Narrowing) -> str | None:
        address = unwrapped(written)
        both = (written, address)  # a network can be denied as it is written, or as what it stands for
        shown = str(written) if written == address else f"{written} ({address})"
        if network := _holding(self.denied, *both):
            return f"The address {shown} is in {network}, which is denied."
        if network := _holding(narrowed.denied_networks, *both):
            return f"The address {shown} is in {network}, which is denied to the group."
        if narrowed.networks and not _holding(narrowed.networks, address):
            return f"The address {shown} is in none of the networks of the group."
        is_allowed = _holding(self.allowed, address) is not None
        if not is_allowed and not is_public(address):
            return f"The address {shown} is not public (TIDINGS_ALLOW_PRIVATE_NETWORKS names networks that may be called)."
        if not target.is_tls and not self._is_plain_enough(target.host, narrowed, is_allowed=is_allowed):
            return (
                f"The address {shown} is not called over http:// (TIDINGS_HTTP_HOSTS names hosts that may be, "
                "TIDINGS_ALLOW_HTTP=true allows all)."
            )
        return None

    def _refusal_of_port(self, port: int, narrowed: Narrowing) -> Refusal | None:
        if self.ports is None and port in BAD_PORTS:
            return Refusal(
                f"Port {port} is not called: no HTTP is spoken there. Use 80, 443 or one from 1024 on.",
                f"Port {port} is another protocol's (TIDINGS_ALLOW_PORTS names ports that may be called).",
            )
        rules = (
            (self.ports is not None and not _within(port, self.ports), "is not in TIDINGS_ALLOW_PORTS"),
            (_within(port, self.denied_ports), "is in TIDINGS_DENY_PORTS"),
            (bool(narrowed.ports) and not _within(port, narrowed.ports), "is none of the ports of the group"),
            (_within(port, narrowed.denied_ports), "is denied to the group"),
        )
        if (rule := next((rule for holds, rule in rules if holds), None)) is None:
            return None
        return Refusal(f"Port {port} is not allowed here. Use port 443, or {ASK}.", f"Port {port} {rule}.")

    def _refusal_of_name(self, host: str) -> Refusal | None:
        """Return why a host name may not be called whatever it resolves to, or None.

        Where the operator allows private networks the name is not judged: its address is. What ends in a number is no name
        (WHATWG URL, section 3.5, "ends in a number"): some programs read 0x7f.1 as 127.0.0.1, and some 0177.0.0.1 as 177.0.0.1.
        """
        name = host.lower().rstrip(".")
        if _NUMBER.fullmatch(name.rpartition(".")[2]) and (read_address(host) is None or "%" in host):
            said = f"The host {host} is a number in an unusual spelling and is not called. Write the address as four numbers."
            return Refusal(said, said)
        if (self.allowed and not self.is_proxied) or not any(_is_of(name, refused) for refused in _REFUSED_NAMES):
            return None
        return Refusal(
            f"The host {host} is not allowed here. Use one with a public address, or {ASK}.", f"{host} is an internal name."
        )

    def _may_be_plain(self, host: str, narrowed: Narrowing) -> bool:
        """Whether a name could be called over http://, depending on what it resolves to."""
        by_address = self.http_hosts is None and bool(self.allowed) and not self.is_proxied
        return not narrowed.https_only and (by_address or self._is_plain_host(host))

    def _is_plain_enough(self, host: str, narrowed: Narrowing, *, is_allowed: bool) -> bool:
        by_address = self.http_hosts is None and is_allowed
        return not narrowed.https_only and (by_address or self._is_plain_host(host))

    def _is_plain_host(self, host: str) -> bool:
        name = host.lower().rstrip(".")
        return self.allow_http or any(_matches(name, wanted) for wanted in self.http_hosts or ())


def parse_hosts(entries: Sequence[str], field: str) -> tuple[str, ...]:
    """Read hosts: names, `*.` before one for all below it, or addresses.

    Raises:
        InvalidInputError: An entry is none, or there are too many.
    """
    hosts = [entry.strip().lower().rstrip(".").strip("[]") for entry in entries if entry.strip()]
    if len(hosts) > MAX_HOSTS:
        raise InvalidInputError(field, f"{field} has {len(hosts)} entries; write at most {MAX_HOSTS}.")
    for host in hosts:
        if not is_host(host.removeprefix("*.")):
            raise InvalidInputError(field, f"{field} names {host[:60]!r}; write hosts such as billing.internal or *.svc.local.")
    return tuple(hosts)


def _is_of(name: str, parent: str) -> bool:
    return name == parent or name.endswith("." + parent)


def _matches(name: str, wanted: str) -> bool:
    if wanted.startswith("*."):
        return name.endswith(wanted[1:])
    here, there = read_address(name), read_address(wanted)
    return name == wanted or (here is not None and here == there)


def _holding(networks: Sequence[Network], *addresses: Address) -> Network | None:
    return next((network for network in networks if any(address in network for address in addresses)), None)


def _within(port: int, spans: Sequence[Span]) -> bool:
    return any(low <= port <= high for low, high in spans)


def _not_here(target: Target) -> str:
    """Say that an address is refused. The sentence is the same for every rule: it must not tell what a name resolves to."""
    return f"{target.host} is not allowed here. Use an https:// URL whose host has a public address, or {ASK}."


def _plain(host: str) -> str:
    return f"Plain http:// to {host} is not allowed here. Use https://, or {ASK}."
