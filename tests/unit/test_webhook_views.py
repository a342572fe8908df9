"""What the pages of webhooks show, decided without a browser or a database."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from tidings.core import operational
from tidings.core.capture import TableSettings
from tidings.core.customers import Access
from tidings.core.errors import InvalidInputError
from tidings.core.filters import parse_filter
from tidings.core.health import Health, Lane, Standing
from tidings.core.retry import Delays, Exponential
from tidings.core.webhook import Signature, Webhook
from tidings.operations.webhooks import testing
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.listing import Listed, Listing
from tidings.operations.webhooks.samples import Sample
from tidings.portal.views.receivers import begins_of, receiver_code, scheme_of
from tidings.portal.views.webhook import name_to_type
from tidings.portal.views.webhook_choices import offer
from tidings.portal.views.webhook_entries import policy_words
from tidings.portal.views.webhook_form import Entered, change_of, entered, entered_of, field_of
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
    assert change.retry == {"delays": [5.0, 300.0, 7200.0], "jitter": 0.1}
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


def test_json_is_read_as_the_api_reads_it_and_not_cut_at_commas() -> None:
    entries = [{"table": "orders", "operations": ["INSERT", "UPDATE"]}, {"collection": "posts", "actions": ["create"]}]
    lines = "\n".join(json.dumps(one) for one in entries)
    for text in (json.dumps(entries), json.dumps(entries, indent=2), lines):
        assert change_of(Entered(url="https://a.example", more=text))[0].events == entries
    mixed = 'order.paid, order.sent\n"with,comma"\n{"table": "orders"}'
    assert change_of(Entered(more=mixed))[0].events == ["order.paid", "order.sent", "with,comma", {"table": "orders"}]
    _, errors = change_of(Entered(more='order.paid\n{"table": "orders", '))
    assert "is no JSON" in errors["more"]
    as_json = Entered(names=("*",), headers='{"X-Accept": "a, b", "X-Time": "10:30"}')
    assert change_of(as_json)[0].headers == {"X-Accept": "a, b", "X-Time": "10:30"}
    assert "no JSON object" in change_of(Entered(names=("*",), headers='{"X": 1}'))[1]["headers"]


def test_what_overrides_a_profile_is_written_and_read() -> None:
    was = webhook(
        profile="vski", secret="any text", method="PUT", signature=Signature("X-Own", "base64"), jwt_enabled=True,
        body_template='{"id": "{{record.id}}"}', retry=PROFILES["vski"].retry,
    )  # fmt: skip
    change, errors = change_of(entered_of(was))
    assert errors == {}
    assert (change.method, change.jwt_enabled, change.asymmetric) == ("PUT", True, False)
    assert change.signature == {"header": "X-Own", "format": "base64"}
    assert change.body_template == '{"id": "{{record.id}}"}'
    assert "Name the header" in change_of(Entered(names=("*",), signature_format="hex"))[1]["signature_header"]
    assert set(change_of(Entered(names=("*",), signature_header="X"))[1]) == {"signature_format"}


def test_a_field_that_goes_on_for_ever_is_cut() -> None:
    form = entered({"name": ["x" * 1_000_000], "names": ["order.paid"] * 100_000})
    assert (len(form.name), len(form.names)) == (20_000, 5_000)


def test_a_policy_whose_delays_grow_is_written_and_read() -> None:
    form = entered_of(webhook(retry=Exponential(base=5, tries=4, jitter=0.5)))
    assert (form.retry, form.base, form.factor, form.longest, form.tries) == ("growing", "5 s", "2", "1 d", "4")
    assert change_of(form)[0].retry == {"base": 5.0, "factor": 2.0, "tries": 4, "max": 86_400.0, "jitter": 0.5}
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
    ours = offer(choices, Entered(names=("order.paid", "made.up")), "standard")
    assert [family.label.plain for family in ours.families] == ["order", "site"]
    assert [(box.value, box.is_ticked, box.is_seen) for box in ours.families[0].boxes] == [
        ("order.paid", True, False),
        ("order.sent", False, True),
    ]
    assert ours.others
    assert [(box.value, box.is_ticked) for box in ours.others.boxes] == [("made.up", True)]
    theirs = offer(choices, Entered(), "vivreal")
    values = {box.value for family in theirs.families for box in family.boxes}
    assert {"collection.object.created", "site.deployed"} <= values
    assert "order.paid" not in values


def test_a_table_that_is_gone_can_still_be_unticked() -> None:
    choices = Choices(tables=((("public", "orders"), ("id", "total")),))
    shown = offer(choices, entered_of(webhook(events=(parse_filter({"table": "old", "schema": "public"}, 0),))), "standard")
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
    looked_at = webhooks_view(Listing([], None), "", "", NOW, may_make=False).empty
    assert looked_at
    assert (looked_at.href, looked_at.command) == ("", "")
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
    kinds = kinds_of(webhook(), Choices(examples={"order.paid": None}), Access.FULL)
    assert next(iter(kinds.values())) == "orders: INSERT"
    assert {"webhook.test", "order.paid", "content.created", *operational.TYPES} <= set(kinds)
    assert "collection.object.created" in kinds_of(webhook(profile="vivreal"), Choices(), Access.FULL)
    own = kinds_of(webhook(), Choices(examples={"order.paid": None}), Access.MANAGE)
    assert not {"content.created", "webhook.failing"} & set(own)
    assert {"webhook.test", "order.paid"} <= set(own)
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

CASES = [
    *((profile, {}) for profile in PROFILES if profile != "vski"),
    ("vski", {"signature": Signature("X-Own", "base64")}),
    ("vski", {"signature": Signature("X-Own", "sha256=hex")}),
    ("vski", {"signature": Signature("X-Own", "t=,v1=")}),
]


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
                f"@{name}" in tab.text
                for name in ("header", "prefix", "server", "encoding", "node", "python", "go", "php", "java")
            )


def test_a_sample_of_a_table_has_the_columns_that_its_rows_have_in_events() -> None:
    wanted = json.dumps(["INSERT", "public", "orders"])
    choices = Choices(tables=((("public", "orders"), ("id", "card", "total")),))
    assert json.loads(example_of(webhook(), wanted, choices, NOW)) == {"id": 1, "card": None, "total": None}
    own = TableSettings("public", "orders", excluded_columns=("card",), renamed_columns={"total": "amount"})
    choices = msgspec.structs.replace(choices, settings={("public", "orders"): own})
    assert json.loads(example_of(webhook(), wanted, choices, NOW)) == {"id": 1, "amount": None}
    assert json.loads(example_of(webhook(), wanted, Choices(), NOW))["id"] == 1


def test_how_a_request_begins_that_is_not_signed_is_said_with_what_tells_who_sent_it() -> None:
    assert '{"action": "create"' in begins_of(webhook(profile="vski"))
    assert "give it a token" in begins_of(webhook(profile="vski"))
    assert "Authorization header tells" in begins_of(webhook(profile="vski", jwt_enabled=True))
    assert "its preview shows" in begins_of(webhook(profile="vski", body_template="{{record}}"))
