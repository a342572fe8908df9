"""What may be called, and by whom."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.egress import Egress, Refusal, parse_hosts
from tidings.core.errors import InvalidInputError
from tidings.core.narrowing import Narrowing, NarrowingForm, parse_narrowing
from tidings.core.networks import EVERYTHING, is_public, parse_networks, parse_ports, unwrapped
from tidings.core.target import BAD_PORTS, Target, Way, parse_target

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.128.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::",
    "fdff:ffff::1",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "100::1",
    "3fff::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "::127.0.0.1",
    "::8.8.8.8",
]

ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "128.0.0.1",
    "169.253.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.1.1",
    "192.169.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "2002:808:808::",
    "64:ff9b::8.8.8.8",
]


PUBLIC = Egress()
TARGET = Target(True, "hooks.example.com", 443)


def of_address(
    address: str, policy: Egress = PUBLIC, target: Target = TARGET, narrowing: Narrowing | None = None
) -> Refusal | None:
    return policy.refusal_of_address(address, target, narrowing)


def of_url(url: str, policy: Egress = PUBLIC, narrowing: Narrowing | None = None) -> Refusal | None:
    return policy.refusal_of(parse_target(url), narrowing)


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_refused_in_every_spelling(address: str) -> None:
    refusal = of_address(address)
    assert refusal is not None
    assert str(ip_address(address.partition("%")[0])) in refusal.cause
    assert address not in refusal.sentence, "the sentence is read by those who must not know what a name resolves to"


@pytest.mark.parametrize("address", ALLOWED)
def test_public_addresses_pass(address: str) -> None:
    assert of_address(address) is None


def test_an_allowed_network_opens_that_network_alone() -> None:
    policy = Egress(allowed=(ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
    assert of_address("10.1.2.3", policy) is None
    assert of_address("::ffff:10.1.2.3", policy) is None
    assert of_address("fd00::5", policy) is None
    assert of_address("10.2.0.1", policy) is not None
    assert of_address("127.0.0.1", policy) is not None


def test_a_mapped_address_is_not_allowed_by_a_network_of_its_wrapper() -> None:
    assert of_address(str(IPv6Address("::ffff:127.0.0.1")), Egress(allowed=(ip_network("::/0"),))) is not None


def test_a_denied_network_outweighs_an_allowed_one_in_every_spelling() -> None:
    policy = Egress(
        allowed=EVERYTHING, denied=(ip_network("10.1.0.0/16"), ip_network("8.8.8.0/24"), ip_network("2001:db8::/32"))
    )
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::", "2001:db8::1"):
        refusal = of_address(address, policy)
        assert refusal is not None, address
        assert "denied" in refusal.cause
    assert of_address("10.2.0.1", policy) is None


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "metadata.google.internal", "metadata", "kubernetes.default.svc", "x.kubernetes.default"])  # fmt: skip
def test_internal_names_are_refused_whatever_they_resolve_to(name: str) -> None:
    assert of_url(f"https://{name}/") is not None


def test_other_names_are_judged_by_their_addresses() -> None:
    assert of_url("https://example.com/") is None
    assert of_url("https://localhost/", Egress(allowed=(ip_network("127.0.0.0/8"),))) is None


def test_the_sentence_is_the_same_whichever_rule_refuses_an_address() -> None:
    policy = Egress(denied=(ip_network("8.8.8.0/24"),))
    sentences = {refusal.sentence for address in (*REFUSED, "8.8.8.8") if (refusal := of_address(address, policy)) is not None}
    plain = of_address("1.1.1.1", target=Target(False, TARGET.host, 80))
    narrowed = of_address("1.1.1.1", narrowing=Narrowing(networks=(ip_network("9.9.9.0/24"),)))
    assert plain is not None
    assert narrowed is not None
    assert sentences == {plain.sentence} == {narrowed.sentence}
    assert "hooks.example.com" in plain.sentence


def test_ports_of_other_protocols_are_refused_unless_they_are_named() -> None:
    for port in BAD_PORTS:
        assert of_url(f"https://example.com:{port}/") is not None
    assert of_url("https://example.com:25/", Egress(ports=((25, 25),))) is None
    for port in (1, 9, 80, 443, 8443, 65535):
        assert of_url(f"https://example.com:{port}/") is None


def test_ports_are_allowed_and_denied() -> None:
    policy = Egress(ports=((443, 443), (8000, 8999)), denied_ports=((8080, 8080),))
    assert of_url("https://example.com/", policy) is None
    assert of_url("https://example.com:8999/", policy) is None
    for port in (80, 444, 7999, 8080, 9000):
        refusal = of_url(f"https://example.com:{port}/", policy)
        assert refusal is not None
        assert str(port) in refusal.sentence
        assert "TIDINGS" not in refusal.sentence


def test_plain_http_goes_to_allowed_networks_until_hosts_are_named() -> None:
    inside = (ip_network("10.0.0.0/8"),)
    plain = Target(False, "billing.internal", 80)
    for policy, address, is_allowed in (
        (Egress(allowed=inside), "10.0.0.1", True),
        (Egress(allowed=inside), "1.1.1.1", False),
        (Egress(allowed=inside, http_hosts=()), "10.0.0.1", False),
        (Egress(allowed=inside, http_hosts=("*.other",)), "10.0.0.1", False),
        (Egress(allowed=inside, http_hosts=("*.internal",)), "10.0.0.1", True),
        (Egress(http_hosts=("billing.internal",)), "1.1.1.1", True),
        (Egress(http_hosts=("billing.internal",)), "10.0.0.1", False),
        (Egress(allow_http=True), "1.1.1.1", True),
    ):
        assert (of_address(address, policy, plain) is None) is is_allowed, (policy, address)
    assert of_url("http://example.com/", Egress()) is not None, "before anybody asks DNS"
    assert of_url("http://example.com/", Egress(allowed=inside, http_hosts=())) is not None
    assert of_url("http://1.1.1.1/", Egress(http_hosts=("1.1.1.1",))) is None
    assert of_url("http://sub.billing.internal./", Egress(http_hosts=("*.billing.internal",))) is None
    assert of_url("http://billing.internal/", Egress(http_hosts=("*.billing.internal",))) is not None


def test_through_a_proxy_addresses_are_judged_and_names_are_left_to_it() -> None:
    policy = Egress(is_proxied=True, allowed=(ip_network("10.0.0.0/8"),))
    assert of_url("https://anything.example/", policy) is None
    for url in ("https://127.0.0.1/", "https://[::ffff:127.0.0.1]/", "https://169.254.169.254/", "https://0x7f.1/"):
        assert of_url(url, policy) is not None, url
    for url in ("https://localhost/", "https://metadata.google.internal/"):
        assert of_url(url, policy) is not None, "its address cannot be judged here, so its name is"
    assert of_url("http://anything.example/", policy) is not None, "nobody here knows whether it is in the allowed network"
    assert of_url("https://anything.example/", policy, Narrowing(networks=(ip_network("1.1.1.0/24"),))) is not None


# Narrowed ----------------------------------------------------------------------------------------------------------------


_ADDRESSES = st.one_of(
    st.ip_addresses().map(str), st.sampled_from([*REFUSED, *ALLOWED]), st.ip_addresses(v=4).map(lambda one: f"::ffff:{one}")
)
_NETWORKS = st.lists(
    st.one_of(
        st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
    ).map(lambda pair: ip_network(pair, strict=False)),
    max_size=3,
).map(tuple)  # fmt: skip
_PORTS = st.lists(
    st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda two: (min(two), max(two))), max_size=3
).map(tuple)
_HOSTS = st.sampled_from(["a.example", "b.a.example", "1.1.1.1", "10.0.0.1", "[::1]", "localhost", "127.1"])
_NARROWINGS = st.builds(
    Narrowing, networks=_NETWORKS, denied_networks=_NETWORKS, ports=_PORTS, denied_ports=_PORTS, https_only=st.booleans()
)
_POLICIES = st.builds(
    Egress, allowed=_NETWORKS, denied=_NETWORKS, ports=st.none() | _PORTS, denied_ports=_PORTS,
    http_hosts=st.none() | st.just(("a.example",)) | st.just(("*.example", "10.0.0.1")), allow_http=st.booleans(), is_proxied=st.booleans(),
)  # fmt: skip
_TARGETS = st.builds(Target, st.booleans(), _HOSTS.map(lambda host: host.strip("[]")), st.integers(1, 65535))


def refused(policy: Egress, target: Target, address: str, narrowing: Narrowing | None = None) -> bool:
    return (policy.refusal_of(target, narrowing) or policy.refusal_of_address(address, target, narrowing)) is not None


@given(_POLICIES, _TARGETS, _ADDRESSES, _NARROWINGS)
def test_a_narrowing_never_widens(policy: Egress, target: Target, address: str, narrowing: Narrowing) -> None:
    if refused(policy, target, address):
        assert refused(policy, target, address, narrowing)


@given(_POLICIES, _TARGETS, _ADDRESSES)
def test_what_passes_is_public_or_allowed_and_never_denied(policy: Egress, target: Target, address: str) -> None:
    if refused(policy, target, address):
        return
    written = ip_address(address.partition("%")[0])
    one = unwrapped(written)
    assert is_public(one) or any(one in network for network in policy.allowed)
    assert not any(at in network for network in policy.denied for at in (one, written))
    assert not any(low <= target.port <= high for low, high in policy.denied_ports)
    assert target.is_tls or policy.allow_http or policy.http_hosts or any(one in network for network in policy.allowed)


@given(_POLICIES, _TARGETS, _ADDRESSES, _NETWORKS, _PORTS)
def test_more_denied_is_never_less_refused(policy: Egress, target: Target, address: str, more: Any, ports: Any) -> None:
    stricter = msgspec.structs.replace(policy, denied=policy.denied + more, denied_ports=policy.denied_ports + ports)
    if refused(policy, target, address):
        assert refused(stricter, target, address)


@given(_POLICIES, _TARGETS, _ADDRESSES, _NARROWINGS)
def test_no_sentence_tells_what_a_name_resolves_to(policy: Egress, target: Target, address: str, narrowing: Narrowing) -> None:
    refusal = policy.refusal_of_address(address, target, narrowing)
    if refusal is not None and address not in target.host:
        assert address not in refusal.sentence.replace(target.host, "")
        assert refusal.sentence == policy.refusal_of_address("0.0.0.0", target, Narrowing(denied_networks=EVERYTHING)).sentence  # type: ignore[union-attr]


@given(_NARROWINGS)
def test_a_narrowing_is_read_as_it_was_written(narrowing: Narrowing) -> None:
    stored = msgspec.json.encode(narrowing.form)
    again = parse_narrowing(msgspec.json.decode(stored, type=NarrowingForm))
    assert again == narrowing
    assert Way(again) == Way(narrowing)
    assert hash(Way(again)) == hash(Way(narrowing))


def test_connections_are_not_shared_by_groups_that_may_not_call_the_same() -> None:
    one, other = Way(Narrowing(https_only=True)), Way(Narrowing(networks=(ip_network("1.1.1.0/24"),)))
    assert len({TARGET, TARGET._replace(by=one), TARGET._replace(by=other), TARGET._replace(by=Way(one.narrowing))}) == 3


@pytest.mark.parametrize(
    ("read", "entries", "sentence"),
    [
        (parse_networks, ["10.0.0.1/8"], "host bits"),
        (parse_networks, ["nonsense"], "10.0.0.0/8"),
        (parse_networks, ["10.0.0.0/8"] * 1001, "at most 1000"),
        (parse_ports, ["0"], "443"),
        (parse_ports, ["9-1"], "443"),
        (parse_ports, ["65536"], "443"),
        (parse_ports, ["٤٤٣"], "443"),
        (parse_ports, ["https"], "443"),
        (parse_hosts, ["a b"], "billing.internal"),
        (parse_hosts, ["*"], "billing.internal"),
        (parse_hosts, ["http://a"], "billing.internal"),
        (parse_hosts, ["a"] * 101, "at most 100"),
    ],
)
def test_lists_that_cannot_be_read_are_refused_with_what_to_write(read: Any, entries: list[str], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence) as refusal:
        read(entries, "denied")
    assert refusal.value.field == "denied"
