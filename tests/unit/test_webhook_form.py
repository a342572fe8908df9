"""A webhook's form, as a browser shows it and sends it back: what nobody touches stays, whatever the webhook is."""

import string
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.forms import fields_of_page
from tidings.core.customers import Access
from tidings.core.errors import InvalidInputError
from tidings.core.filters import OPERATIONS, parse_filter
from tidings.core.retry import Delays, Exponential, Policy, parse_policy
from tidings.core.webhook import METHODS, SIGNATURE_FORMATS, Signature, Webhook
from tidings.operations.webhooks.changes import WebhookChange, changed
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.customers import keeps
from tidings.portal.answers import environment
from tidings.portal.views.frame import Frame
from tidings.portal.views.may import ALL
from tidings.portal.views.webhook_credentials import TICKS
from tidings.portal.views.webhook_form import (
    MANY,
    OF_CUSTOMERS,
    Entered,
    change_of,
    entered,
    entered_of,
    of_customer,
    shown_to_customer,
)
from tidings.portal.views.webhook_pages import RequestView, form_view
from tidings.profiles import PROFILES, SecretForm

NOW = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
ID = UUID("01a1fc32-e7ca-7c3b-bba3-5f0000000002")
FRAME = Frame(title="Edit", path="/", group_id="default", who="admin", theme="auto", csrf="", entries=())
CHOICES = Choices(
    {"order.paid": "Somebody paid."},
    seen=frozenset({"order.sent", "signup"}),
    tables=((("public", "orders"), ("id", "total")), (("sales", "leads"), ("id",))),
    collections=("posts",),
)

# What a page, PostgreSQL and the API all take: no U+0000, no half of a pair.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
NAMES = st.one_of(st.sampled_from(["orders", 'a"b', "x,y", "a b", "ö", "</td>", "a\nb"]), TEXTS.filter(bool))
TYPES = st.sampled_from(
    ["*", "order.paid", "order.*", "signup", "with,comma", "table.*", '"quoted"', "{braced}", "content.created", "a<b>.c"]
)
ENTRIES: dict[str, Any] = {
    "tables": st.fixed_dictionaries({
        "table": NAMES, "schema": NAMES, "operations": st.lists(st.sampled_from(OPERATIONS), min_size=1, unique=True),
    }),
    "collections": st.fixed_dictionaries({
        "collection": NAMES, "actions": st.lists(st.sampled_from(["create", "update", "publish"]), min_size=1, unique=True),
    }),
}  # fmt: skip
FIGURES = st.floats(0.1, 300, allow_nan=False) | st.integers(1, 300).map(float)
SECONDS = st.floats(0, 604_800, allow_nan=False) | st.integers(0, 604_800).map(float)
RETRIES = st.one_of(
    st.builds(Delays, st.lists(SECONDS, max_size=5).map(tuple), st.sampled_from([0.0, 0.1, 1 / 3])),
    st.builds(Exponential, SECONDS, st.floats(1, 100, allow_nan=False), SECONDS, st.integers(1, 101)),
    st.none(),
)
HEADER_NAMES = st.text(string.ascii_letters, min_size=1, max_size=8).map("X-".__add__)
HEADERS = st.dictionaries(HEADER_NAMES, st.sampled_from(["shop", " a ", "a, b", "10:30", "", "\t", "{}", "\xff"]), max_size=3)


@st.composite
def webhooks(draw: st.DrawFn) -> Webhook:
    """Any webhook that can be stored."""
    name = draw(st.sampled_from(list(PROFILES)))
    profile = PROFILES[name]
    words = TYPES if profile.vocabulary.sent is None else st.sampled_from([*profile.vocabulary.names, "*"])
    entries = draw(st.lists(st.one_of(words, ENTRIES["tables"], ENTRIES["collections"]), min_size=1, max_size=6))
    is_whsec = profile.secret_form is SecretForm.WHSEC
    signature = draw(st.none() | st.builds(Signature, st.just("X-Own-Signature"), st.sampled_from(SIGNATURE_FORMATS)))
    return Webhook(
        id=ID, group_id="default", name=draw(TEXTS.filter(bool)), url="https://erp.example.com/hook?a=1&b=%22", profile=name,
        description=draw(st.none() | TEXTS), secret="whsec_" + "A" * 43 + "=" if is_whsec else "any text", created_at=NOW,
        updated_at=NOW, events=tuple(parse_filter(item, at, profile.vocabulary) for at, item in enumerate(entries)),
        headers=draw(HEADERS), retry=draw(RETRIES) or profile.retry, timeout_seconds=draw(FIGURES),
        concurrency=draw(st.integers(1, 1000)), rate_per_second=draw(st.none() | FIGURES), ordered=draw(st.booleans()),
        method=draw(st.sampled_from(METHODS)), signature=signature, asymmetric=is_whsec and draw(st.booleans()),
        jwt_enabled=draw(st.booleans()), body_template=draw(st.none() | st.sampled_from(['{"a": "{{record.id}}"}', '{\r\n"a": 1}', " [] "])),
        enabled=draw(st.booleans()), version=draw(st.integers(1, 9)),
    )  # fmt: skip


def sent_by_a_browser(form: Entered, profile: str, access: Access | None = None) -> dict[str, list[str]]:
    """Return what a browser sends of the page that shows a form."""
    view = form_view(form, CHOICES, RequestView(error="-"), {}, profile=profile, webhook_path=f"/webhooks/{ID}", access=access)
    return fields_of_page(environment.get_template("webhook/form.html").render(view=view, frame=FRAME, may=ALL), "webhook")


@settings(max_examples=60, deadline=None)
@given(webhooks())
def test_a_form_that_nobody_touches_changes_nothing(webhook: Webhook) -> None:
    was = entered_of(webhook)
    fields = sent_by_a_browser(was, webhook.profile)
    change, errors = change_of(entered(fields), was)
    assert (errors, change) == ({}, WebhookChange())
    assert changed(webhook, change, now=NOW) is webhook


@settings(max_examples=60, deadline=None)
@given(webhooks(), st.sampled_from([Access.MANAGE, Access.FULL]))
def test_a_customers_form_that_nobody_touches_changes_nothing(webhook: Webhook, access: Access) -> None:
    """Of events that they have no say in too: these are not on their page."""
    was = shown_to_customer(webhook, keeps(access, webhook))
    fields = sent_by_a_browser(was, webhook.profile, access)
    assert set(fields) <= {*OF_CUSTOMERS, "csrf", "shown_profile", "do"}
    forged = fields | {"headers": ["X-A: b"], "secret": ["x" * 40], "timeout": ["soon"], "profile": ["vski"], "jwt": ["true"]}
    change, errors = change_of(of_customer(entered(forged), webhook.profile), was)
    assert (errors, change) == ({}, WebhookChange())


@settings(max_examples=40, deadline=None)
@given(webhooks())
def test_one_field_that_is_touched_changes_that_field_alone(webhook: Webhook) -> None:
    was = entered_of(webhook)
    fields = sent_by_a_browser(was, webhook.profile) | {"concurrency": ["7" if webhook.concurrency != 7 else "8"]}
    change, _ = change_of(entered(fields), was)
    assert msgspec.structs.replace(webhook, concurrency=change.concurrency) == changed(webhook, change, now=NOW)


@settings(max_examples=60, deadline=None)
@given(webhooks())
def test_what_a_webhook_asks_for_can_be_said_in_the_form(webhook: Webhook) -> None:
    """The form of one webhook, sent as that of a new one, asks for the same events and the same policy."""
    form = entered_of(webhook)
    change, errors = change_of(form)
    assert set(errors) <= {"delays", "base", "longest"}  # a delay such as 1e-30 s is written in no unit
    vocabulary = PROFILES[webhook.profile].vocabulary
    assert isinstance(change.events, list)
    again = {parse_filter(item, 0, vocabulary) for item in change.events}
    assert {kind for one in again for kind in one.kinds} == {kind for one in webhook.events for kind in one.kinds}
    if not errors:
        assert figures_of(parse_policy(change.retry)) == pytest.approx(figures_of(webhook.retry))


def figures_of(policy: Policy) -> list[float]:
    if isinstance(policy, Delays):
        return [*policy.delays, policy.jitter]
    return [policy.base, policy.factor, policy.max, policy.tries, policy.jitter]


def test_what_cannot_be_read_of_a_webhook_is_asked_for_anew() -> None:
    webhook = Webhook(
        id=ID, group_id="default", name="ERP", url="https://a.example", secret="whsec_" + "A" * 43 + "=", created_at=NOW,
        updated_at=NOW, problems={"events": "events: broken."},
    )  # fmt: skip
    was = entered_of(webhook)
    assert set(change_of(was, was, webhook.problems)[1]) == {"events"}
    form = msgspec.structs.replace(was, names=("order.paid",))
    assert change_of(form, was, webhook.problems)[0] == WebhookChange(events=["order.paid"])
    with pytest.raises(InvalidInputError):
        changed(webhook, WebhookChange(), now=NOW)


def test_every_field_of_the_form_is_on_the_page() -> None:
    fields = sent_by_a_browser(Entered(ordered=True, asymmetric=True, jwt=True, names=("made.up",)), "standard")
    missing = {*Entered.__struct_fields__} - {*fields}
    assert missing == (MANY - {"names"}) | TICKS  # there is no certificate that could be taken away


def test_a_form_without_events_is_refused_unless_others_stay_that_it_does_not_show() -> None:
    form, was = Entered(), Entered(names=("order.paid",))
    assert "events" in change_of(form, was)[1]
    change, errors = change_of(form, was, may_choose_none=True)
    assert (change.events, errors) == ([], {})
    assert change_of(Entered(more="order.sent"), was, may_choose_none=True)[0].events == ["order.sent"]
