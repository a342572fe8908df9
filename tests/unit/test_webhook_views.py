"""What the pages of webhooks show, decided without a browser or a database."""

import base64
import hashlib
import hmac
import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from tidings.core.errors import InvalidInputError
from tidings.core.filters import parse_filter
from tidings.core.health import Health, Lane, Standing
from tidings.core.retry import Delays, Exponential
from tidings.core.webhook import Signature, Webhook
from tidings.operations.webhooks import testing
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.listing import Listed, Listing
from tidings.operations.webhooks.samples import Sample
from tidings.portal.views.receivers import receiver_code, scheme_of
from tidings.portal.views.webhook import name_to_type
from tidings.portal.views.webhook_choices import offer
from tidings.portal.views.webhook_form import Entered, change_of, entered, entered_of, field_of, policy_words
from tidings.portal.views.webhook_settings import change_diff, settings_lines
from tidings.portal.views.webhook_testing import example_of, kinds_of, result_view, sample_of
from tidings.portal.views.webhooks import events_in_short, rate_of, webhooks_view
from tidings.profiles import PROFILES
from tidings.store.health import State

NOW = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
ID = UUID("01a1fc32-e7ca-7c3b-bba3-5f0000000002")


def webhook(**fields: object) -> Webhook:
    events = tuple(parse_filter(item, 0) for item in ("order.*", {"table": "orders", "schema": "public"}))
    given = {
        "id": ID, "group_id": "default", "name": "ERP", "url": "https://erp.example.com/hook", "secret": "whsec_" + "A" * 43 + "=",
        "created_at": NOW, "updated_at": NOW, "events": events, "retry": PROFILES["standard"].retry,
    } | fields  # fmt: skip
    return Webhook(**given)  # type: ignore[arg-type]


# The form ----------------------------------------------------------------------------------------------------------------


def test_a_form_says_what_a_webhook_is_and_asks_for_no_change() -> None:
    was = webhook(headers={"X-Source": "shop"}, rate_per_second=2.5, retry=Delays((5, 300, 7200)))
    form = entered_of(was)
    change, errors = change_of(form)
    assert errors == {}
    assert (form.retry, form.delays) == ("custom", "5 s, 5 min, 2 h")
    assert change.events == [
        "order.*",
        {"schema": "public", "table": "orders", "operations": ["INSERT", "UPDATE", "DELETE"]},
    ]
    assert change.headers == {"X-Source": "shop"}
    assert change.retry == {"delays": [5.0, 300.0, 7200.0]}
    assert (change.timeout_seconds, change.concurrency, change.rate_per_second) == (30.0, 100, 2.5)


def test_what_cannot_be_read_is_told_at_its_field() -> None:
    form = Entered(
        url="https://a.example", headers="no colon", retry="custom", delays="5 s, soon", timeout="long", tables=("[]x",)
    )
    _, errors = change_of(form)
    assert set(errors) == {"headers", "delays", "timeout", "events"}
    assert "'soon' is no delay" in errors["delays"]


def test_nothing_chosen_is_told() -> None:
    assert "Nothing is chosen" in change_of(Entered(url="https://a.example"))[1]["events"]


def test_names_are_read_from_boxes_and_from_text() -> None:
    form = entered({"url": ["https://a.example"], "names": ["*"], "more": ["order.paid, order.sent\r\nuser.*"]})
    assert change_of(form)[0].events == ["*", "order.paid", "order.sent", "user.*"]


def test_a_field_that_goes_on_for_ever_is_cut() -> None:
    form = entered({"name": ["x" * 1_000_000], "names": ["order.paid"] * 100_000})
    assert (len(form.name), len(form.names)) == (20_000, 1_000)


def test_a_policy_that_the_form_cannot_say_is_kept() -> None:
    form = entered_of(webhook(retry=Exponential(base=5, tries=4)))
    assert form.retry == "kept"
    assert isinstance(change_of(form)[0].retry, type(change_of(form)[0].secret))  # unset
    assert policy_words(Exponential(base=5, tries=4)) == "3 times: 5 s, each time 2 times as long, at most 1\u2009d"


def test_errors_of_what_is_asked_for_stand_at_the_fields_that_ask() -> None:
    fields = {
        name: field_of(InvalidInputError(name, "")) for name in ("events[3].table", "headers.X", "retry.delays", "nowhere")
    }
    assert fields == {"events[3].table": "events", "headers.X": "headers", "retry.delays": "delays", "nowhere": ""}


# What there is to choose ---------------------------------------------------------------------------------------------------


def test_names_are_those_of_the_profile() -> None:
    choices = Choices(
        {"order.paid": "Somebody paid."}, seen=frozenset({"order.sent", "site.deployed", "table.orders.inserted"})
    )
    ours = offer(choices, Entered(names=("order.paid", "made.up")))
    assert [family.label.plain for family in ours.families] == ["order", "site"]
    assert [(box.value, box.is_ticked, box.is_seen) for box in ours.families[0].boxes] == [
        ("order.paid", True, False),
        ("order.sent", False, True),
    ]
    assert ours.more == "made.up"
    theirs = offer(choices, Entered(profile="vivreal"))
    values = {box.value for family in theirs.families for box in family.boxes}
    assert {"collection.object.created", "site.deployed"} <= values
    assert "order.paid" not in values


def test_a_table_that_is_gone_can_still_be_unticked() -> None:
    choices = Choices(tables=((("public", "orders"), ("id", "total")),))
    shown = offer(choices, entered_of(webhook(events=(parse_filter({"table": "old", "schema": "public"}, 0),))))
    assert [(family.label.plain, family.said) for family in shown.tables] == [("orders", "3 events"), ("old", "3 of 3")]


# The list and the page -----------------------------------------------------------------------------------------------------


def state(standing: Standing, **lane: object) -> State:
    sentence = "The receiver answered HTTP 500."
    return State(Health(standing, NOW - timedelta(minutes=5), None, sentence), Lane(**lane))  # type: ignore[arg-type]


def test_the_list_tells_trouble_and_nothing_else() -> None:
    listing = Listing(
        [
            Listed(webhook(), state(Standing.FAILING, waiting=12), 0.9994),
            Listed(webhook(name="</td><script>\u202e"), state(Standing.HEALTHY), 1.0),
        ],
        None,
    )
    failing, healthy = (row.data for row in webhooks_view(listing, "", "", NOW).table.rows)
    assert failing.trouble.plain == "The receiver answered HTTP 500."
    assert (failing.rate, failing.waiting, failing.since.relative) == ("99.94\u2009%", "12", "5\u2009min ago")
    assert healthy.trouble is None
    assert healthy.name.pieces[1].name == "right-to-left override, U+202E"


def test_an_empty_list_teaches_and_a_search_without_result_says_so() -> None:
    nothing = webhooks_view(Listing([], None), "", "", NOW).empty
    assert nothing
    assert nothing.href == "/webhooks/new"
    assert webhooks_view(Listing([], None), "erp", "", NOW).empty != nothing
    assert webhooks_view(Listing([], ID), "erp", "", NOW).pager.older == f"/webhooks?q=erp&cursor={ID}"


@pytest.mark.parametrize(("rate", "said"), [(None, "–"), (1.0, "100\u2009%"), (0.999999, "99.99\u2009%"), (0.0, "0\u2009%")])
def test_a_rate_that_is_not_all_is_not_called_all(rate: float | None, said: str) -> None:
    assert rate_of(rate)[0] == said


def test_events_are_told_in_few_words() -> None:
    assert events_in_short(webhook().events) == "order.*, orders: INSERT, UPDATE, DELETE"
    many = tuple(parse_filter(name, 0) for name in ("*", "a.b", "c.d", "e.f"))
    assert events_in_short(many) == "everything, a.b and 2 more"


def test_settings_leave_out_what_is_as_always() -> None:
    labels = [label for label, _ in settings_lines(webhook())]
    assert labels == ["Profile", "Events", "Tries again", "Timeout", "At once"]


def test_a_difference_shows_what_changes_and_no_secret() -> None:
    change, _ = change_of(entered_of(webhook()))
    same = change_diff(webhook(), webhook(), change)
    assert same.said == "nothing changed"
    form = Entered(url="https://a.example", names=("*",), secret="whsec_new")
    shown = change_diff(webhook(), webhook(url="https://a.example"), change_of(form)[0])
    text = "\n".join(line.text.plain for line in shown.lines)
    assert "https://a.example" in text
    assert "whsec_new" not in text
    assert "another" in text


def test_what_is_typed_to_delete_can_be_typed() -> None:
    assert name_to_type(webhook()) == "ERP"
    assert name_to_type(webhook(name="a\u202eb")) == "01a1fc32"


def test_samples_are_those_of_the_tables_it_names_and_of_every_name_of_its_profile() -> None:
    kinds = kinds_of(webhook(), Choices(examples={"order.paid": None}))
    assert next(iter(kinds.values())) == "orders: INSERT"
    assert {"webhook.test", "order.paid", "content.created"} <= set(kinds)
    assert "collection.object.created" in kinds_of(webhook(profile="vivreal"), Choices())
    value = next(iter(kinds))
    assert sample_of({"event": value, "data": '{"id": 7}'}) == Sample("INSERT", "orders", "public", record=b'{"id": 7}')
    assert sample_of({"event": "order.paid", "data": ""}) == Sample("order.paid")
    with pytest.raises(InvalidInputError):
        sample_of({"event": "[broken"})


def test_a_sample_says_what_the_catalogue_says() -> None:
    choices = Choices(examples={"order.paid": '{"total":10.5}'})
    assert example_of(webhook(), "order.paid", choices, NOW) == '{\n  "total": 10.5\n}'
    assert example_of(webhook(), "made.up", choices, NOW) == ""


@pytest.mark.parametrize(
    ("ending", "word"),
    [
        ("answered", "delivered"),
        ("refused", "refused"),
        ("timed_out", "timed out"),
        ("no_worker", "no worker runs"),
        ("waiting", "waiting"),
    ],
)
def test_what_came_of_a_test_is_told_apart(ending: str, word: str) -> None:
    assert result_view(testing.Tested(testing.Ending(ending), True, ID, ID, 200, "ok", "It failed.", 12.0)).state.word == word


# Code for receivers --------------------------------------------------------------------------------------------------------

BODY = b'{"type":"order.paid","data":{"name":"Gr\xc3\xbc\xc3\x9fe"}}'
PROFILES_SIGNED = ("standard", "cloudevents", "vivreal", "vivreal-content", "fluxbase", "fluxbase-t")


def signed(profile: str, secret: str, **fields: object) -> tuple[Webhook, dict[str, str], bytes]:
    """Return a webhook, and headers and body of a request that it sends."""
    from tidings.core.signature import InstanceKeys
    from tidings.profiles import describe, prepare
    from tidings.sources.publish import new_event

    made = webhook(profile=profile, secret=secret, **fields)
    keys: InstanceKeys = SimpleNamespace()  # type: ignore[assignment]
    event = new_event("default", "publish", "order.paid", '{"name": "Grüße"}', datetime.now(UTC))
    request = describe(prepare(made, keys).write(event, ID, int(time.time())))
    return made, {name.lower(): value for name, value in request.headers}, request.body


CASES = [
    *((profile, {}) for profile in PROFILES_SIGNED),
    ("vski", {"signature": Signature("X-Own", "base64")}),
    ("vski", {"signature": Signature("X-Own", "sha256=hex")}),
    ("vski", {"signature": Signature("X-Own", "t=,v1=")}),
]


def secret_for(profile: str) -> str:
    return "whsec_" + base64.b64encode(b"k" * 32).decode() if PROFILES[profile].secret_form == "whsec" else "any text"


def code_of(made: Webhook, label: str) -> str:
    code = receiver_code(made)
    assert code is not None
    return next(tab.text for tab in code.tabs if tab.label == label)


@pytest.mark.parametrize(("profile", "fields"), CASES)
def test_the_code_in_python_verifies_what_is_sent_and_nothing_else(profile: str, fields: dict[str, object]) -> None:
    made, headers, body = signed(profile, secret_for(profile), **fields)
    text = (
        code_of(made, "Python").partition("from flask")[0]
        + code_of(made, "Python").partition("\n\ndef is_genuine")[2].join(("\n\ndef is_genuine", "")).partition("\n\n@app")[0]
    )
    names: dict[str, object] = {"SECRET": made.secret}
    exec(text, names)
    is_genuine = names["is_genuine"]
    assert is_genuine(body, headers)  # type: ignore[operator]
    assert not is_genuine(body + b" ", headers)  # type: ignore[operator]
    names["SECRET"] = secret_for("standard").replace("a2tr", "bGxs") if made.secret.startswith("whsec_") else "other"
    assert not is_genuine(body, headers)  # type: ignore[operator]


@pytest.mark.parametrize(("profile", "fields"), CASES)
def test_the_code_for_node_verifies_what_is_sent_and_nothing_else(
    profile: str, fields: dict[str, object], tmp_path: Path
) -> None:
    made, headers, body = signed(profile, secret_for(profile), **fields)
    text = code_of(made, "Node").replace('import express from "express";\n', "").partition("\nexpress()")[0]
    ask = f"const body = Buffer.from({json.dumps(base64.b64encode(body).decode())}, 'base64');"
    ask += f"const headers = {json.dumps(headers)};"
    ask += "console.log(JSON.stringify([isGenuine(body, headers), isGenuine(Buffer.concat([body, body]), headers)]));"
    file = tmp_path / "receiver.mjs"
    file.write_text(text + ask)
    ran = subprocess.run(
        ["node", file],
        capture_output=True,
        text=True,
        check=True,
        env={"WEBHOOK_SECRET": made.secret, "PATH": "/usr/bin:/usr/local/bin"},
    )
    assert json.loads(ran.stdout) == [True, False]


def test_nothing_is_shown_to_verify_where_nothing_is_signed() -> None:
    assert receiver_code(webhook(profile="vski")) is None
    assert scheme_of(webhook(signature=Signature("X-Hub-Signature-256", "sha256=hex"))).header == "x-hub-signature-256"


def test_no_placeholder_is_left_in_any_language() -> None:
    for profile, fields in CASES:
        code = receiver_code(webhook(profile=profile, **fields))
        assert code is not None
        assert len(code.tabs) <= 8
        for tab in code.tabs:
            assert not any(
                f"@{name}" in tab.text for name in ("header", "prefix", "server", "node", "python", "go", "php", "java")
            )


def test_hmacs_here_are_those_of_the_standard_library() -> None:
    made, headers, body = signed("vivreal", "any text")
    assert headers["x-vivreal-signature"] == hmac.new(made.secret.encode(), body, hashlib.sha256).hexdigest()
