"""Where this installation is reached and who reaches it, as far as anybody is believed."""

from ipaddress import ip_network

import pytest

from tidings.config import Config
from tidings.configured import load_config
from tidings.core.errors import ConflictError, StartupError
from tidings.core.reached import MAX_HOPS, Peer, base_url, is_loopback, is_own_page, known_url, origin_of, peer_of

PUBLIC = "https://hooks.example.com"
PROXY = [ip_network("10.0.0.0/24"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "a.localhost:1", "127.0.0.1", "127.9.9.9:8080", "[::1]:8080", "[::1]", "localhost."]
)
def test_an_address_of_this_machine_is_believed(host: str) -> None:
    assert is_loopback(host)
    assert known_url(None, "http", host) == f"http://{host}"


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example",
     "localhost/x", "localhost\\@evil", "localhost:80:90", "[::2]:80", "::1", "localhost\r\nX: y", "0.0.0.0", "localhost:"],
)  # fmt: skip
def test_no_link_is_made_of_what_a_request_says_otherwise(host: str) -> None:
    assert base_url(None, "http", host) is None
    with pytest.raises(ConflictError, match="TIDINGS_PUBLIC_URL"):
        known_url(None, "http", host)
    assert known_url(f"{PUBLIC}/", "http", host) == PUBLIC


def test_an_origin_is_written_as_browsers_write_it() -> None:
    assert origin_of("HTTPS://Hooks.Example.com:443/x") == PUBLIC
    assert origin_of("http://[::1]:8080") == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("public", "scheme", "host", "origin", "site", "is_own"),
    [
        (None, "http", "10.0.0.1:8080", "http://10.0.0.1:8080", None, True),
        (None, "http", "10.0.0.1:8080", "http://evil.example", None, False),
        (None, "http", "10.0.0.1:8080", None, "same-origin", True),
        (None, "http", "10.0.0.1:8080", None, "same-site", False),
        (None, "http", "10.0.0.1:8080", None, None, False),
        (PUBLIC, "https", "hooks.example.com", PUBLIC, None, True),
        (PUBLIC, "https", "hooks.example.com:443", PUBLIC, None, True),
        (PUBLIC, "https", "hooks.example.com", "null", None, False),
        (PUBLIC, "http", "127.0.0.1:8080", PUBLIC, None, True),  # a proxy that says its own name for ours
        (PUBLIC, "http", "localhost:8080", "http://localhost:8080", None, True),
        (PUBLIC, "http", "localhost:8080", "http://localhost:9090", None, False),
        (PUBLIC, "https", "evil.example", "https://evil.example", None, False),  # a name of somebody else's that leads here
        (PUBLIC, "https", "evil.example", PUBLIC, None, False),
        (PUBLIC, "https", "evil.example", None, "same-origin", False),
        (PUBLIC, "https", "hooks.example.com", None, "same-origin", True),
    ],
)
def test_a_form_is_of_a_page_of_ours(
    public: str | None, scheme: str, host: str, origin: str | None, site: str | None, is_own: bool
) -> None:
    assert is_own_page(public, scheme, host, origin, site) is is_own


@pytest.mark.parametrize(
    ("connected", "forwarded", "proto", "found"),
    [
        ("192.0.2.9", "1.1.1.1", "https", Peer("192.0.2.9")),  # no proxy of ours
        ("127.0.0.1", "1.1.1.1", "https", Peer("127.0.0.1")),  # nor is this machine, unless it is named
        ("10.0.0.5", "", "", Peer("10.0.0.5")),
        ("10.0.0.5", "192.0.2.1", "https", Peer("192.0.2.1", "https")),
        ("10.0.0.5", "6.6.6.6, 192.0.2.1", "https", Peer("192.0.2.1", "https")),  # the first one was made up
        ("10.0.0.5", "6.6.6.6, 192.0.2.1, 10.0.0.9", "http, https", Peer("192.0.2.1", "https")),
        ("10.0.0.5", "10.0.0.7, 10.0.0.9", "ftp", Peer("10.0.0.7")),
        ("10.0.0.5", "192.0.2.1, nonsense", "https", Peer("10.0.0.5", "https")),
        ("10.0.0.5", "192.0.2.1:4711", "https", Peer("192.0.2.1", "https")),
        ("::ffff:10.0.0.5", "[2001:db8::1]:4711", "https", Peer("2001:db8::1", "https")),
        ("fd00::1", "2001:db8::1", "https", Peer("2001:db8::1", "https")),
        ("", "192.0.2.1", "https", Peer("")),
        ("10.0.0.5", "192.0.2.1," + "10.0.0.9," * (MAX_HOPS - 1) + "10.0.0.9", "", Peer("10.0.0.9")),
    ],
)
def test_who_asks_is_believed_of_named_proxies_alone(connected: str, forwarded: str, proto: str, found: Peer) -> None:
    assert peer_of(connected, forwarded, proto, PROXY) == found


def test_settings_that_name_no_address_are_refused() -> None:
    for name, value in (
        ("public_url", "hooks.example.com"),
        ("public_url", "ftp://hooks.example.com"),
        ("public_url", "https://"),
        ("public_url", "https://user@hooks.example.com"),
        ("public_url", "https://hooks.example.com/?x"),
        ("public_url", "https://hooks.example.com:0"),
        ("public_url", "https://hooks.example.com:99999"),
        ("public_url", "https://hooks.example.com/\r\nX: y"),
        ("trusted_proxies", "localhost"),
        ("trusted_proxies", "all"),
        ("trusted_proxies", "0.0.0.0/0,::/0"),
    ):
        with pytest.raises(StartupError, match=name):
            load_config({name: value}, environ={})
    given = load_config({}, environ={"TIDINGS_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8", "TIDINGS_PUBLIC_URL": PUBLIC})
    assert isinstance(given, Config)
    assert [str(network) for network in given.trusted_networks] == ["127.0.0.1/32", "10.0.0.0/8"]
