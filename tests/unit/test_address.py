"""Which addresses a webhook may reach."""

from ipaddress import IPv6Address, ip_network

import pytest

from tidings.transport.address import refusal_of_address, refusal_of_name

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


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_refused_in_every_spelling(address: str) -> None:
    refusal = refusal_of_address(address, ())
    assert refusal is not None
    assert address in refusal


@pytest.mark.parametrize("address", ALLOWED)
def test_public_addresses_pass(address: str) -> None:
    assert refusal_of_address(address, ()) is None


def test_an_allowed_network_opens_that_network_alone() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    assert refusal_of_address("10.1.2.3", allowed) is None
    assert refusal_of_address("::ffff:10.1.2.3", allowed) is None
    assert refusal_of_address("fd00::5", allowed) is None
    assert refusal_of_address("10.2.0.1", allowed) is not None
    assert refusal_of_address("127.0.0.1", allowed) is not None


def test_a_mapped_address_is_not_allowed_by_a_network_of_its_wrapper() -> None:
    assert refusal_of_address(str(IPv6Address("::ffff:127.0.0.1")), (ip_network("::/0"),)) is not None


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "metadata.google.internal", "metadata", "kubernetes.default.svc", "x.kubernetes.default"])  # fmt: skip
def test_internal_names_are_refused_whatever_they_resolve_to(name: str) -> None:
    assert refusal_of_name(name, ()) is not None


def test_other_names_are_judged_by_their_addresses() -> None:
    assert refusal_of_name("example.com", ()) is None
    assert refusal_of_name("localhost", (ip_network("127.0.0.0/8"),)) is None
