"""How homes of a fleet know each other, and which of them a request is for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tidings.api.http.scopes import NEEDS
from tidings.api.routes.audit import AuditEntry
from tidings.api.routes.set_aside import SetAsideView
from tidings.configured import load_config
from tidings.core.errors import StartupError
from tidings.core.homes import parse_homes, place_of, waits_for_receiver
from tidings.core.voucher import VouchedKey, Voucher, as_key, digest_of, is_for, opened, seal_key, sealed
from tidings.core.webhook import MAX_TIMEOUT_SECONDS
from tidings.operations import told_lists
from tidings.transport.homes import RECEIVER_SECONDS

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = seal_key("what the homes of the tests know each other by")
VOUCHER = Voucher("eu", "us", NOW, "GET", digest_of(b"/api/v1/events?limit=1"))


def test_homes_are_read_from_names_and_addresses() -> None:
    assert parse_homes("eu=https://eu.internal/ us=https://us.internal:8443,local=http://127.0.0.1:8080") == {
        "eu": "https://eu.internal",
        "us": "https://us.internal:8443",
        "local": "http://127.0.0.1:8080",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://eu.internal", "NAME=URL"),
        ("EU=https://eu.internal", "small letters"),
        ("eu=https://a eu=https://b", "twice"),
        ("eu=http://eu.internal", "https:// alone"),
        ("eu=http://10.0.0.1", "https:// alone"),
        ("eu=ftp://eu.internal", "a scheme and a host"),
        ("eu=https://user:secret@eu.internal", "a scheme and a host"),
        ("eu=https://eu.internal/tidings", "a scheme and a host"),
        ("eu=https://eu.internal?x=1", "a scheme and a host"),
        ("eu=https://[::1", "a scheme and a host"),
        (" ".join(f"h{n}=https://h{n}" for n in range(101)), "100 at most"),
    ],
)
def test_what_is_no_address_of_a_home_is_refused(text: str, said: str) -> None:
    with pytest.raises(StartupError, match=said):
        parse_homes(text)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"home": None}, "home is not"),
        ({"homes": "eu=https://eu.internal"}, "no home but this one"),
        ({"homes_key": None}, "homes_key is not"),
        ({"homes_key": "short"}, "homes_key is no key"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused_at_the_start(values: dict[str, str | None], said: str) -> None:
    good = {"home": "eu", "stream": "nats://127.0.0.1", "homes": "us=https://us.internal", "homes_key": "k" * 32}
    given = {f"TIDINGS_{name.upper()}": value for name, value in (good | values).items() if value is not None}
    with pytest.raises(StartupError, match=said):
        load_config(environ=given)
    config = load_config(environ={f"TIDINGS_{name.upper()}": value for name, value in good.items()})
    assert "k" * 32 not in repr(config)


def test_a_voucher_is_good_at_one_home_for_one_request_and_a_minute() -> None:
    text = sealed(VOUCHER, KEY)
    assert opened(text, KEY, NOW + timedelta(seconds=59)) == VOUCHER
    assert opened(text, KEY, NOW + timedelta(seconds=61)) is None
    assert opened(text, KEY, NOW - timedelta(seconds=61)) is None
    assert opened(text, seal_key("another"), NOW) is None
    assert is_for(VOUCHER, "us", "GET", b"/api/v1/events?limit=1")
    assert not is_for(VOUCHER, "eu", "GET", b"/api/v1/events?limit=1")
    assert not is_for(VOUCHER, "us", "DELETE", b"/api/v1/events?limit=1")
    assert not is_for(VOUCHER, "us", "GET", b"/api/v1/events?limit=2")


@pytest.mark.parametrize("text", ["", "x", "é", "A" * 9000, sealed(VOUCHER, KEY)[:-4], "A" * 4 + sealed(VOUCHER, KEY)[4:]])
def test_what_is_no_voucher_of_ours_is_none(text: str) -> None:
    assert opened(text, KEY, NOW) is None


def test_a_scope_of_a_newer_release_opens_nothing() -> None:
    said = VouchedKey(UUID(int=7), "later", None, ("webhooks:read", "planets:move"))
    assert [scope.value for scope in as_key(said, NOW).scopes] == ["webhooks:read"]


@pytest.mark.parametrize(("method", "path"), sorted(NEEDS))
def test_each_operation_is_answered_where_it_lives(method: str, path: str) -> None:
    """What is about the installation is answered by whoever is asked; all else by the home of a group."""
    place = place_of(method, path.replace("{group_id}", "a%2Fb"))
    assert place is not None
    if "{group_id}" in path:
        assert place.group_id == "a/b"
    elif NEEDS[method, path].is_for_all_groups:
        assert place.is_of_installation
        assert place.group_id is None
    assert place_of(method, f"/{path}//") == place_of(method, path), "as the framework takes it"


@pytest.mark.parametrize("path", ["/", "/webhooks", "/metrics", "/healthz", "/in/shop", "/openapi.json", "/apiary/v1/events"])
def test_what_is_none_of_the_api_is_answered_where_it_is_asked(path: str) -> None:
    assert place_of("GET", path) is None


@pytest.mark.parametrize(
    ("method", "path", "waits"),
    [
        ("POST", "/api/v1/webhooks/1/test", True),
        ("POST", "//api/v1/webhooks/1/diagnose/", True),
        ("GET", "/api/v1/webhooks/1/test", False),
        ("POST", "/api/v1/webhooks/test/rotate", False),
    ],
)
def test_what_a_receiver_answers_is_given_its_time(method: str, path: str, waits: bool) -> None:
    assert waits_for_receiver(method, path) == waits
    assert RECEIVER_SECONDS > MAX_TIMEOUT_SECONDS


def test_a_home_reads_of_the_others_lists_all_that_they_answer_with() -> None:
    for answered, read in ((AuditEntry, told_lists.WireEntry), (SetAsideView, told_lists.WireRow)):
        own = {"home", "row"}  # which each home says of its own, and which lists have not
        assert set(answered.__struct_fields__) - own == set(read.__struct_fields__)
