"""Members, and who somebody is, as pages show them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from tidings.core.roles import MAX_EMAIL, SAID, Held, Role
from tidings.portal.views.lists import Column, Field, Option, Pager, Row, Table
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.settings import sessions_table
from tidings.portal.views.small import Id, Notice, State, When, ident, when
from tidings.portal.views.text import Shown, visible
from tidings.store.members import Member
from tidings.store.sessions import Session

PATH = "/settings/members"
ALL_GROUPS = "*"  # no group is called so: of a form
NO_PROVIDER = "No provider is configured, so nobody can sign in as a member yet. Set TIDINGS_OIDC_ISSUER and the client there."


class RoleView(msgspec.Struct, frozen=True):
    """A role that somebody has. `value`: its group, in a form."""

    role: str
    group: Shown
    said: str
    value: str


class MemberRow(msgspec.Struct, frozen=True):
    """A member."""

    email: Shown
    name: Shown | None
    roles: tuple[RoleView, ...]
    state: State
    signed_in: When | None


class MembersView(msgspec.Struct, frozen=True):
    """The members, and a form that invites one."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    fields: tuple[Field, ...]
    notice: Notice | None
    error: str


class MemberView(msgspec.Struct, frozen=True):
    """One member, with what changes their roles. `open`: their sessions; None: they are not shown to whoever looks."""

    sections: tuple[Section, ...]
    id: Id
    path: str
    row: MemberRow
    issuer: Shown | None
    subject: Shown | None
    invited: When
    joined: When | None
    roles: Table
    fields: tuple[Field, ...]
    open: Table | None
    error: str


class AccountView(msgspec.Struct, frozen=True):
    """Who is signed in, what they may, and where else they are. `groups`: that they may look at; empty: all."""

    who: Shown
    how: str
    said: str
    group: Shown
    scopes: tuple[str, ...]
    groups: tuple[Shown, ...]
    sessions: Table


def members_view(
    found: Sequence[Member],
    pager: Pager,
    group_id: str,
    now: datetime,
    *,
    may_all: bool,
    has_provider: bool,
    written: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> MembersView:
    """Return the members.

    Args:
        group_id: The group that is shown: somebody can be invited to it.
        may_all: Whoever looks may invite to all groups.
        written: What somebody wrote into the form, to be shown again.
        errors: Field to what is wrong with it.
    """
    said, wrong = written or {}, errors or {}
    columns = (Column("Member", "wide"), Column("Is", "wide"), Column("State"), Column("Last signed in"))
    rows = tuple(Row(str(one.id), f"{PATH}/{one.id}", one.email, _row(one, now)) for one in found)
    email = Field(
        "email", "Address", "email", value=said.get("email", "")[:MAX_EMAIL], error=wrong.get("email", ""), is_required=True,
        max_length=MAX_EMAIL, placeholder="ada@example.com",
    )  # fmt: skip
    return MembersView(
        sections(SETTINGS, PATH),
        Table("members", "Members", columns, rows),
        pager,
        (email, *_fields(group_id, said, wrong, may_all=may_all)),
        None if has_provider else Notice("warn", NO_PROVIDER),
        " ".join(text for field, text in wrong.items() if field not in {"email", "role"}),
    )


def member_view(
    one: Member, group_id: str, now: datetime, *, may_all: bool, open_: Sequence[Session] | None, error: str = ""
) -> MemberView:
    """Return one member.

    Args:
        open_: Their sessions; None: they are not for whoever looks.
    """
    row = _row(one, now)
    columns = (Column("Role"), Column("For", "wide"), Column("May", "wide"), Column("Take away", "action"))
    roles = tuple(Row(f"role-{place}", "", f"{view.role}", view) for place, view in enumerate(row.roles))
    return MemberView(
        sections(SETTINGS, PATH),
        ident(one.id),
        f"{PATH}/{one.id}",
        row,
        None if one.issuer is None else visible(one.issuer, limit=200),
        None if one.subject is None else visible(one.subject, limit=255),
        when(one.invited_at, now),
        None if one.joined_at is None else when(one.joined_at, now),
        Table("roles", "Roles", columns, roles),
        _fields(group_id, {}, {}, may_all=may_all),
        None if open_ is None else sessions_table(open_, None, now),
        error,
    )


def account_view(session: Session, found: Sequence[Session], now: datetime) -> AccountView:
    """Return who is signed in.

    Args:
        found: Their sessions.
    """
    is_member = session.member_id is not None
    return AccountView(
        visible(session.begun_by, limit=100),
        "You are a member, and signed in by the provider." if is_member else "You are signed in by a key.",
        "Browsers that you are signed in with." if is_member else "Browsers that are signed in with this key, yours or not.",
        visible(session.group_id, limit=100),
        tuple(scope.value for scope in session.scopes),
        tuple(visible(one, limit=60) for one in session.may_show or ()),
        sessions_table(found, session.id, now),
    )


def _row(one: Member, now: datetime) -> MemberRow:
    return MemberRow(
        visible(one.email, limit=MAX_EMAIL),
        visible(one.name, limit=100) if one.name else None,
        tuple(map(_role, one.held)),
        State("quiet", "clock", "invited") if one.joined_at is None else State("good", "check", "member"),
        None if one.signed_in_at is None else when(one.signed_in_at, now),
    )


def _role(held: Held) -> RoleView:
    return RoleView(
        held.role.value, visible(held.group_id or "all groups", limit=60), SAID[held.role], held.group_id or ALL_GROUPS
    )


def _fields(group_id: str, said: Mapping[str, str], wrong: Mapping[str, str], *, may_all: bool) -> tuple[Field, ...]:
    chosen = said.get("role", Role.VIEWER.value)
    groups = [Option(group_id, f"group {visible(group_id, limit=60).plain} alone", said.get("group") == group_id)]
    if may_all:
        groups.append(Option(ALL_GROUPS, "all groups", said.get("group") == ALL_GROUPS))
    return (
        Field(
            "role", "Role", "choice", value=chosen, error=wrong.get("role", ""), is_required=True,
            options=tuple(Option(role.value, f"{role.value}: {text}", role.value == chosen) for role, text in SAID.items()),
        ),
        Field("group", "For", "choice", options=tuple(groups), is_required=True),
    )  # fmt: skip
