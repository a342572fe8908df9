"""Recoveries: the list, and one with how far it has come, in sentences."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tidings.core.job import State
from tidings.core.question import Question
from tidings.core.recovery import Recovery, share_done
from tidings.operations.history.asking import as_words
from tidings.portal.views import small
from tidings.portal.views.lists import Column, Pager, Row, Table, link
from tidings.portal.views.small import Id, Progress, When, ident, when
from tidings.portal.views.text import Shown, count, number, visible

PATH = "/recoveries"
PAGE = 50

_STATES = {State.WAITING: "pending", State.RUNNING: "running", State.DONE: "done"}


class RecoveryRow(msgspec.Struct, frozen=True):
    """A recovery in the list."""

    began: When
    state: small.State
    what: Shown
    sent: str


class RecoveriesView(msgspec.Struct, frozen=True):
    """The list of recoveries. `empty`: what stands there when there are none."""

    table: Table
    pager: Pager
    empty: small.Empty | None


class RecoveryView(msgspec.Struct, frozen=True):
    """A recovery.

    Attributes:
        path: Of its page.
        is_open: It is not over: what is shown is asked for again and again.
        what: What it sends again, in a sentence.
        happened: What came of it so far, in sentences.
        found, sent, skipped: Figures.
        finished: When it was over.
        deliveries: Where what it is about can be seen; empty: nowhere.
    """

    id: Id
    path: str
    state: small.State
    is_open: bool
    what: Shown
    happened: tuple[Shown, ...]
    progress: Progress
    found: str
    sent: str
    skipped: str
    rate: str
    began: When
    finished: When | None
    webhook: Id | None
    deliveries: str


def state_of(recovery: Recovery) -> small.State:
    """Return the state of a recovery as colour, sign and word."""
    return small.state(_STATES.get(recovery.state, recovery.state))


def what_of(recovery: Recovery) -> str:
    """Return what a recovery sends again, in a sentence."""
    question = recovery.question
    if question is None:
        return "What it was asked for cannot be read as it is stored."
    if question.ids:
        were = "was" if len(question.ids) == 1 else "were"
        return f"{count(len(question.ids), 'delivery', 'deliveries')} that {were} chosen."
    if recovery.webhook_id is not None:
        begins = "" if recovery.since is None else f" from {_minute(recovery.since)}"
        more = ", and what never came to be" if recovery.missing else ""
        return f"What one webhook did not acknowledge{begins} until {_minute(recovery.until)}{more}."
    words = {word: text for word, text in as_words(question).items() if word not in {"since", "until"}}
    begins = "" if question.since is None else f"from {_minute(question.since)} "
    told = "; ".join(f"{word.replace('_', ' ')} {text}" for word, text in words.items())
    return f"Deliveries {begins}until {_minute(recovery.until)}: {told}."


def happened(recovery: Recovery) -> tuple[str, ...]:
    """Return what came of a recovery so far, in sentences."""
    sent, skipped = recovery.queued_count, recovery.skipped_count
    many = count(sent, "delivery", "deliveries")
    said: list[str] = []
    match recovery.state:
        case State.WAITING:
            said.append("It begins as soon as a worker looks at it, within a second.")
        case State.RUNNING:
            said.append(f"{many} went into the queue again so far.")
            if recovery.error:
                said.append(recovery.error)
        case State.DONE if not recovery.found_count:
            said.append("It is done. There was nothing to send again.")
        case State.DONE:
            said.append(f"It is done. {many} went into the queue again, with the same ids.")
        case State.CANCELLED:
            said.append(f"It was cancelled. {many} had gone into the queue before, and {'goes' if sent == 1 else 'go'} out.")
        case State.FAILED:
            said.append(f"It could not go on. {recovery.error or ''}".strip())
            said.append(f"{many} had gone into the queue before, and {'goes' if sent == 1 else 'go'} out.")
    if skipped:
        is_one = skipped == 1
        said.append(
            f"{count(skipped, 'delivery', 'deliveries')} {'was' if is_one else 'were'} left alone: the webhook is deleted or "
            "disabled, or it was on its way or done by then."
        )
    return tuple(said)


def recovery_view(recovery: Recovery, now: datetime) -> RecoveryView:
    """Return a recovery as its page shows it."""
    share, path = share_done(recovery), f"{PATH}/{recovery.id}"
    rate = recovery.rate_per_second
    webhook_id = recovery.webhook_id
    return RecoveryView(
        id=ident(recovery.id),
        path=path,
        state=state_of(recovery),
        is_open=recovery.is_open,
        what=visible(what_of(recovery), limit=1000),
        happened=tuple(visible(sentence, limit=700) for sentence in happened(recovery)),
        progress=_progress(share, is_open=recovery.is_open),
        found=number(recovery.found_count),
        sent=number(recovery.queued_count),
        skipped=number(recovery.skipped_count),
        rate="" if rate is None else f"at most {number(rate)} a second",
        began=when(recovery.created_at, now),
        finished=None if recovery.finished_at is None else when(recovery.finished_at, now),
        webhook=None if webhook_id is None else ident(webhook_id, f"/webhooks/{webhook_id}"),
        deliveries=_deliveries(recovery),
    )


def _progress(share: float | None, *, is_open: bool) -> Progress:
    if share is None:
        return Progress("Looked through", 0, None if is_open else 1, "as far as history goes" if is_open else "not to its end")
    percent = min(100, int(share * 100))
    return Progress("Looked through", percent, 100, f"{percent}\u2009%")


def _deliveries(recovery: Recovery) -> str:
    """Return where what a recovery is about can be seen: in any state, as they are another by now."""
    question = recovery.question
    if question is None or question.ids:
        return ""
    return link("/deliveries", words_of(msgspec.structs.replace(question, states=())))


def words_of(question: Question) -> dict[str, str]:
    """Return the parameters by which the list of deliveries asks a question."""
    return {"webhook" if word == "webhook_id" else word: text for word, text in as_words(question).items()}


def recoveries_view(found: Sequence[Recovery], now: datetime) -> RecoveriesView:
    """Return the list.

    Args:
        found: One more than a page holds, where there are so many.
    """
    shown = found[:PAGE]
    rows = tuple(
        Row(
            str(one.id),
            f"{PATH}/{one.id}",
            f"recovery of {one.created_at:%Y-%m-%d %H:%M}",
            RecoveryRow(when(one.created_at, now), state_of(one), visible(what_of(one), limit=240), number(one.queued_count)),
        )
        for one in shown
    )
    columns = (Column("Began"), Column("State"), Column("What", "wide"), Column("Sent again", "number", is_minor=True))
    older = link(PATH, {"cursor": str(shown[-1].id)}) if len(found) > PAGE else ""
    empty = small.Empty(
        "Nothing was sent again yet",
        "Find failed deliveries, or open a webhook, and press Recover: what was missed is sent once more, with the same ids.",
        "Find failed deliveries",
        "/deliveries?status=failed",
        icon="rotate-ccw",
    )
    return RecoveriesView(
        Table("recoveries", "Recoveries, newest first", columns, rows), Pager(older=older), None if rows else empty
    )


def _minute(at: datetime) -> str:
    return when(at, at).exact[:16] + " UTC"
