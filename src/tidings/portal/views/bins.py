"""Request bins as pages show them. All that came is somebody else's text."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from tidings.core.bin import Bin, text_of
from tidings.core.claims import KNOWN, Reason, Verdict
from tidings.core.errors import InvalidInputError, TidingsError
from tidings.core.webhook import SIGNATURE_FORMATS, Subscription
from tidings.operations.bins import BinChange
from tidings.portal.views.documents import Document, Headers, document, headers
from tidings.portal.views.lists import Column, Field, Option, Pager, Row, Table, link
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Empty, State, When, when
from tidings.portal.views.text import Shown, count, number, size, visible
from tidings.store.bins import Kept

PATH = "/settings/bins"
_STAYS = "stays"  # what the choice of what verifies says of a secret that is there


class BinRow(msgspec.Struct, frozen=True):
    """A bin of the list."""

    name: Shown
    came: str
    answer: str
    verifies: str
    used: When


class BinsView(msgspec.Struct, frozen=True):
    """The list of bins."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    empty: Empty | None


class CaughtRow(msgspec.Struct, frozen=True):
    """A request of the list."""

    number: str
    method: Shown
    path: Shown
    verdict: State
    size: str
    at: When
    is_here: bool


class Caught(msgspec.Struct, frozen=True):
    """A request at length. `note`: what of its body is not here."""

    number: str
    method: Shown
    path: Shown
    at: When
    address: Shown
    answer: str
    verdict: State
    sentence: Shown
    headers: Headers
    body: Document | None
    note: str


class BinView(msgspec.Struct, frozen=True):
    """A bin, and what came to it.

    Attributes:
        live: The stream that tells when something comes.
        here: This very page, to be read again then.
        chosen: Somebody chose the request that is shown: a newer one does not take its place.
    """

    sections: tuple[Section, ...]
    name: Shown
    path: str
    here: str
    live: str
    url: str
    url_note: str
    answer: str
    verifies: Shown
    came: str
    refused: str
    used: When
    table: Table
    pager: Pager
    one: Caught | None
    chosen: bool
    empty: Empty | None


class BinForm(msgspec.Struct, frozen=True):
    """The form of a bin."""

    path: str
    cancel: str
    action: str
    fields: dict[str, Field]
    error: str


def path_of(bin_id: UUID) -> str:
    """Return the page of a bin."""
    return f"{PATH}/{bin_id}"


def shown_name(one: Bin) -> str:
    """Return what a bin is called, as a title may have it."""
    return visible(one.name or f"Bin {str(one.id)[:8]}", limit=80).plain


def bins_view(found: Sequence[Bin], pager: Pager, now: datetime) -> BinsView:
    """Return the list of bins."""
    columns = (
        Column("Bin", "wide"),
        Column("Came", "number"),
        Column("Answers", is_minor=True),
        Column("Verifies", is_minor=True),
        Column("Last used"),
    )
    rows = tuple(
        Row(
            str(one.id),
            path_of(one.id),
            shown_name(one),
            BinRow(
                visible(one.name or f"Bin {str(one.id)[:8]}", limit=80),
                number(one.request_count),
                _answered(one),
                _verified_by(one),
                when(one.used_at, now),
            ),
        )
        for one in found
    )
    empty = None if rows else Empty(
        "No request bins",
        "A bin is an address that takes any request, shows it here as it comes, with whether its signature is right, and "
        "answers as you say.",
        "New request bin",
        f"{PATH}/new",
        "tidings bin",
        "radio",
    )  # fmt: skip
    return BinsView(sections(SETTINGS, PATH), Table("bins", "Request bins", columns, rows), pager, empty)


def _answered(one: Bin) -> str:
    delay = one.answer.delay_seconds
    return f"{one.answer.status} after {delay:g} s" if delay else str(one.answer.status)


def _verified_by(one: Bin) -> str:
    if one.webhook_id is not None:
        return "as a webhook signs"
    if one.profile is None:
        return "nothing"
    return "a signature of its own" if one.signature is not None else f"profile {one.profile}"


# A bin -----------------------------------------------------------------------------------------------------------------------


class Page(msgspec.Struct, frozen=True):
    """Where whoever looks at a bin is.

    Attributes:
        base_url: Where they have reached this installation; empty: nobody knows.
        chosen: The number of the request they chose.
        before: The page shows what came before this number.
        has_more: There is more before that.
    """

    base_url: str
    chosen: int | None = None
    before: int | None = None
    has_more: bool = False


def bin_view(one: Bin, rows: Sequence[Kept], shown: Kept | None, now: datetime, page: Page) -> BinView:
    """Return a bin with what came to it.

    Args:
        rows: A page of what came, newest first.
        shown: The one that is shown at length.
    """
    path, base_url, chosen, before = path_of(one.id), page.base_url, page.chosen, page.before
    asked = {"request": str(chosen or ""), "before": str(before or "")}
    older = link(path, {"before": str(rows[-1].number)}) if page.has_more and rows else ""
    empty = None if rows or shown else Empty(
        "Nothing came yet",
        "Send a request to the address above, with any method; this page shows it when it comes.",
        command=f"curl {base_url}/bin/{one.id} -d '{{\"hello\": \"bin\"}}'",
        icon="radio",
    )  # fmt: skip
    return BinView(
        sections=sections(SETTINGS, PATH),
        name=visible(one.name or f"Bin {str(one.id)[:8]}", limit=80),
        path=path,
        here=link(path, asked),
        live="" if before else link("/live", {"of": "bin", "bin_id": str(one.id), "came": str(one.request_count)}),
        url=f"{base_url}/bin/{one.id}",
        url_note="" if base_url else "Behind the address of this installation, which TIDINGS_PUBLIC_URL does not name yet.",
        answer=_answered(one),
        verifies=visible(_verified_by(one)),
        came=count(one.request_count, "request"),
        refused=f"{number(one.refused_count)} were refused: more came than it takes in a second." if one.refused_count else "",
        used=when(one.used_at, now),
        table=_rows(one, rows, shown, now),
        pager=Pager(path if before else "", older, ""),
        one=None if shown is None else _caught(one, shown, now),
        chosen=chosen is not None,
        empty=empty,
    )


def _rows(one: Bin, rows: Sequence[Kept], shown: Kept | None, now: datetime) -> Table:
    columns = (
        Column("No.", "number"),
        Column("Request", "wide"),
        Column("Signature"),
        Column("Body", "number", is_minor=True),
        Column("Came"),
    )
    found = tuple(
        Row(
            f"request-{row.number}",
            link(path_of(one.id), {"request": str(row.number)}),
            f"request {row.number}",
            CaughtRow(
                number(row.number),
                visible(row.method, limit=20),
                visible(_path(one, row), limit=80),
                _state(row.verdict),
                size(row.body_bytes),
                when(row.received_at, now),
                shown is not None and row.number == shown.number,
            ),
        )
        for row in rows
    )
    return Table("requests", "What came", columns, found)


def _caught(one: Bin, row: Kept, now: datetime) -> Caught:
    text = text_of(row.body, is_cut=row.is_truncated)
    notes = []
    if text is None:
        notes.append("The body is no text; it is shown in base64.")
        text = b64encode(row.body).decode()
    if row.is_truncated:
        read = "more than 1 MiB" if not row.is_whole else size(row.body_bytes)
        notes.append(f"The body has {read}; the first {size(len(row.body))} are kept.")
    return Caught(
        number(row.number),
        visible(row.method, limit=40),
        visible(_path(one, row), limit=1000),
        when(row.received_at, now),
        visible(row.address, limit=60),
        str(row.status),
        _state(row.verdict),
        visible(row.verdict.sentence, limit=600),
        headers(row.headers),
        document(text) if row.body else None,
        " ".join(notes),
    )


def _path(one: Bin, row: Kept) -> str:
    return row.path.removeprefix(f"/bin/{one.id}") or "/"


def _state(verdict: Verdict) -> State:
    if verdict.is_verified:
        return State("good", "check", "verified")
    if verdict.reason == Reason.UNASKED:
        return State("quiet", "circle-dashed", "not verified")
    return State("bad", "x", visible(verdict.reason.replace("_", " "), limit=40).plain)


# The form --------------------------------------------------------------------------------------------------------------------


def written_of(one: Bin) -> dict[str, str]:
    """Return what the form of a bin holds at first."""
    own = {} if one.signature is None else {"header": one.signature.header, "format": one.signature.format}
    return {
        "name": one.name, "status": str(one.answer.status), "delay_seconds": f"{one.answer.delay_seconds:g}",
        "body": one.answer.body, "content_type": one.answer.content_type,
        "profile": one.profile or "", "webhook_id": str(one.webhook_id or ""),
        "has_secret": _STAYS if one.has_secret else "", **own,
    }  # fmt: skip


def change_of(form: Mapping[str, str], *, is_new: bool) -> BinChange:
    """Return what a form asks for.

    Raises:
        InvalidInputError: A number is none.
    """
    secret, webhook, profile = form.get("secret", "").strip(), form.get("webhook_id", ""), form.get("profile", "")
    header = form.get("header", "").strip()
    own = {"header": header, "format": form.get("format", "hex")} if header else None
    answer: dict[str, Any] = {
        "name": form.get("name", "").strip(), "status": int(_number(form, "status", "200")), "body": form.get("body", ""),
        "delay_seconds": _number(form, "delay_seconds", "0"),
        "content_type": form.get("content_type", "").strip() or "text/plain",
    }  # fmt: skip
    if webhook:
        try:
            return BinChange(**answer, webhook_id=UUID(webhook))
        except ValueError as error:
            raise InvalidInputError("webhook_id", "webhook_id is no webhook's. Choose one of the list.") from error
    if not profile and not secret and own is None:
        return BinChange(**answer) if is_new else BinChange(**answer, profile=None, secret=None, webhook_id=None)
    return BinChange(**answer, profile=profile or "standard", secret=secret or UNSET, signature=own)


def _number(form: Mapping[str, str], name: str, otherwise: str) -> float:
    text = form.get(name, "").strip()[:20] or otherwise
    try:
        return float(text) if name != "status" else float(int(text))
    except ValueError as error:
        raise InvalidInputError(name, f"{name} is no number.") from error


def form_view(
    written: Mapping[str, str], path: str, webhooks: Sequence[Subscription], *, error: TidingsError | None = None
) -> BinForm:
    """Return the form of a bin, with what somebody wrote and what is wrong with it."""
    field = error.field.partition(".")[0] if isinstance(error, InvalidInputError) else ""
    said = error.message if error else ""
    errors = {"header" if field == "signature" else field: said}

    def made(name: str, label: str, kind: str = "text", **more: object) -> Field:
        value = "" if name == "secret" else written.get(name, str(more.pop("otherwise", "")))
        more.pop("otherwise", None)
        return Field(name, label, kind, value=value, error=errors.get(name, ""), **more)  # type: ignore[arg-type]

    profile, webhook, form = (written.get(name, "") for name in ("profile", "webhook_id", "format"))
    choices = {str(one.id): visible(one.name, limit=80).plain for one in webhooks}
    if webhook:
        choices.setdefault(webhook, visible(webhook, limit=40).plain)
    stays = "It has one; leave this empty to keep it." if written.get("has_secret") else "What the sender signs with."
    whose = "Its own secret is taken, and the one before while both hold."
    where = "Where it is none of the profile's: X-Hub-Signature-256, say."
    plain = "text/plain; charset=utf-8"
    fields = (
        made("name", "Name", max_length=200),
        made("status", "Status it answers", otherwise="200", is_code=True, max_length=3),
        made("delay_seconds", "Seconds until it answers", otherwise="0", is_code=True, max_length=6, hint="Up to 30."),
        made("content_type", "Type of the body it answers", otherwise=plain, is_code=True, max_length=200),
        made("body", "Body it answers", "area", is_code=True, max_length=65_536),
        made("webhook_id", "Verify as this webhook signs", "choice", hint=whose, options=_options(choices, webhook)),
        made("profile", "Or by the rules of a profile", "choice", options=_options({name: name for name in KNOWN}, profile)),
        made("secret", "And this secret", "password", max_length=256, hint=stays),
        made("header", "Header of the signature", is_code=True, max_length=200, hint=where),
        made("format", "How it is written", "choice", options=_options({one: one for one in SIGNATURE_FORMATS}, form)[1:]),
    )
    named = {one.name: one for one in fields}
    is_new = path.endswith("/new")
    return BinForm(
        path, PATH if is_new else path.removesuffix("/edit"), "Make the bin" if is_new else "Save", named,
        "" if errors.keys() & named.keys() else said,
    )  # fmt: skip


def _options(choices: Mapping[str, str], chosen: str) -> tuple[Option, ...]:
    return (Option("", "none"), *(Option(value, label, value == chosen) for value, label in choices.items()))
