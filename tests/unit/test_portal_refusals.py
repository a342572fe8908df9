"""What a page says to whoever may not see it, or asks for something that is not there any more."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from tidings.core.errors import ForbiddenError
from tidings.core.event import Event
from tidings.core.redaction import Redaction
from tidings.core.roles import SCOPES, Role
from tidings.operations.redaction import Shown
from tidings.portal.scopes import check_page
from tidings.portal.views.errors import error_view
from tidings.portal.views.redaction import tried_view
from tidings.store.sessions import Session

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ONE = UUID(int=1)


def session(role: Role, bound_to: str | None = None) -> Session:
    return Session(
        ONE, "acme", "Firefox", "127.0.0.1", NOW, NOW, NOW,
        member_id=ONE, member_email="vic@example.com", scopes=SCOPES[role], bound_to=bound_to,
    )  # fmt: skip


def test_a_member_is_told_of_roles_and_not_of_keys() -> None:
    with pytest.raises(ForbiddenError) as caught:
        check_page(session(Role.VIEWER), "GET", "/webhooks/new")
    assert caught.value.message == (
        "Your role here does not include webhooks:write, which takes the role owner or developer. Ask an owner for it."
    )
    assert caught.value.details == {"scope": "webhooks:write"}
    with pytest.raises(ForbiddenError, match="Ask an owner of all groups"):
        check_page(session(Role.OWNER, "acme"), "GET", "/settings/egress")
    check_page(session(Role.VIEWER), "GET", "/webhooks")


def test_a_key_is_told_of_keys() -> None:
    with pytest.raises(ForbiddenError, match="Use a key that has it"):
        check_page(Session(ONE, "acme", "", "", NOW, NOW, NOW, scopes=SCOPES[Role.VIEWER]), "GET", "/webhooks/new")


def test_a_refusal_for_lack_of_rights_does_not_say_to_do_it_again() -> None:
    assert "load the page again" not in error_view(403, "No.", is_of_rights=True).remedy
    assert "load the page again" in error_view(403, "This page is too old.").remedy  # a form that came from an old page
    assert "Sign in" not in error_view(401, "This link has ended.", is_customer=True).remedy


def test_a_preview_says_when_a_rule_that_there_is_has_hidden_it_all() -> None:
    def event(record: object, subject: str | None = None) -> Event:
        return Event(ONE, "acme", "publish", "order.paid", None, subject, None, None, json.dumps(record), None, NOW)

    kept = event({"mail": "[redacted]"}, "ada")
    said = tried_view(Shown(kept, kept, Redaction(("mail",), ("mail",)))).said
    assert "hidden of the event already" in said
    other = tried_view(
        Shown(event({"mail": "a@x.example"}), event({"mail": "[redacted]"}), Redaction(("mail",), ("mail",)))
    ).said
    subject = tried_view(Shown(kept, event({"mail": "[redacted]"}), Redaction(("(subject)",), (), True))).said
    assert other == subject != said
