"""The gallery: every part in every state, with what a sender might make up to break it."""

from datetime import datetime, timedelta

import msgspec

from tidings.portal.views.documents import (
    CodeSample,
    CodeTab,
    Comparison,
    Diff,
    Document,
    Headers,
    comparison,
    diff,
    document,
    headers,
)
from tidings.portal.views.figures import Chart, Series, Sparkline, Timing, chart, sparkline, timing
from tidings.portal.views.lists import Column, Field, Filter, FilterBar, Option, Pager, Row, Table, column, filter_bar, pager
from tidings.portal.views.small import (
    STATES,
    Empty,
    Id,
    Notice,
    Progress,
    Secret,
    State,
    Url,
    When,
    ident,
    progress,
    state,
    url,
    when,
)
from tidings.portal.views.text import Shown, duration, visible, visible_block

PATH = "/gallery"
LONG_LINE = "the same again and again, " * 40_000  # a megabyte in one line
HOSTILE = "</td><script>alert(1)</script> \x00\x07\x1b[31mred \u202efdp.exe\u202c \u200bzero \u2066isolated\u2069 \x7f"


class Delivery(msgspec.Struct, frozen=True):
    """The cells of a row of the table."""

    at: When
    state: State
    type: Shown
    webhook: Shown
    answer: str
    took: str
    record: Shown


class Gallery(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown, part by part."""

    states: tuple[State, ...]
    ids: tuple[Id, ...]
    times: tuple[When, ...]
    urls: tuple[Url, ...]
    hostile: tuple[Shown, ...]
    documents: tuple[tuple[str, Document], ...]
    comparison: Comparison
    headers: Headers
    timings: tuple[Timing, ...]
    sparks: tuple[tuple[str, str, str, Sparkline], ...]
    chart: Chart
    filters: FilterBar
    table: Table
    pager: Pager
    fields: tuple[Field, ...]
    secrets: tuple[Secret, ...]
    notices: tuple[Notice, ...]
    progress: tuple[Progress, ...]
    diff: Diff
    code: CodeSample
    empty: Empty


_BODY = """{"type":"order.paid","timestamp":"2026-11-21T14:02:11.402Z","data":{"id":17,"total":1234567890.10,"currency":"EUR",
"is_gift":false,"note":null,"customer":{"name":"Ada Lovelace","tags":["vip","eu"],"address":{"city":"London","lines":[]}},
"lines":[{"sku":"A-1","count":2},{"sku":"B-7","count":1}]}}"""

_CODE = (
    ("Python", "from standardwebhooks import Webhook\n\nWebhook(secret).verify(body, headers)\n"),
    ("Node", 'import { Webhook } from "standardwebhooks";\n\nnew Webhook(secret).verify(body, headers);\n'),
    ("Go", "wh, err := standardwebhooks.NewWebhook(secret)\nerr = wh.Verify(body, headers)\n"),
    (
        "curl",
        "curl -X POST https://erp.example.com/hook \\\n  -H 'webhook-id: 01a1fc32' \\\n  -d @body.json\n",
    ),
)


_NOTICES = (
    Notice("good", "order.paid was sent again and acknowledged."),
    Notice("info", "Versions before 1 November are past retention."),
    Notice("warn", "This webhook rests until 14:07; promised retries still go out."),
    Notice("bad", f"The receiver answered HTTP 500. {HOSTILE[:30]}"),
)

_URLS = (
    "https://erp.example.com/hook?tenant=acme",
    f"https://user:pass@very-long-host.example.com/{'deep/' * 60}hook",
    "javascript:alert(document.cookie)",
    "https://exam\u202eple.com/\u200bhook",
    "no url at all",
)


def gallery(now: datetime, asked: dict[str, str]) -> Gallery:
    """Return all parts as of a moment."""
    return Gallery(
        states=tuple(map(state, (*STATES, "made up"))),
        ids=(
            ident("01a1fc32-e7ca-7c3b-bba3-5f0000000002", PATH),
            ident("order-17"),
            ident("x" * 400),
            ident(f"id{HOSTILE}"),
        ),
        times=tuple(when(now - timedelta(seconds=ago), now) for ago in (0, 12, 190, 7300, 260_000, 9_000_000, -45)),
        urls=tuple(map(url, _URLS)),
        hostile=(
            visible(HOSTILE),
            visible("two\nlines\tand a tab"),
            visible_block("two\nlines\tand a tab"),
            visible(LONG_LINE),
        ),
        documents=_documents(),
        comparison=_comparison(),
        headers=_headers(),
        timings=(
            timing(dns_ms=1.2, connect_ms=12.0, tls_ms=31.0, first_byte_ms=640.0, total_ms=812.0),
            timing(dns_ms=None, connect_ms=None, tls_ms=None, first_byte_ms=8.0, total_ms=8.4),
            timing(dns_ms=3.0, connect_ms=9.0, tls_ms=21.0, first_byte_ms=None, total_ms=30_000.0),
        ),
        sparks=_sparks(),
        chart=_chart(now),
        filters=_filters(asked),
        table=_table(now, asked),
        pager=pager(PATH, asked, newer=None, older="next", said="12 of 4 312, looked back to 20 Nov 08:14"),
        fields=_fields(),
        secrets=(
            Secret("signing secret", None, PATH),
            Secret("new secret", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", warning="It is shown this once. Copy it now."),
        ),
        notices=_NOTICES,
        progress=(
            progress("Sending again", 3_120, 12_480),
            progress("Looking for what was missed", 57, None),
            progress("Nothing to do", 0, 0),
        ),
        diff=diff(
            '{\n  "url": "https://erp.example.com/hook",\n  "events": ["order.*"],\n  "timeout_seconds": 30\n}',
            '{\n  "url": "https://erp.example.com/v2/hook",\n  "events": ["*"],\n  "timeout_seconds": 30\n}',
        ),
        code=CodeSample("verify", tuple(CodeTab(label, text) for label, text in _CODE)),
        empty=Empty(
            "No webhooks yet",
            "A webhook is a URL that hears of what happens. Nothing is sent before there is one.",
            "New webhook",
            "/webhooks/new",
            "tidings listen --forward localhost:3000",
            "webhook",
        ),
    )


def _comparison() -> Comparison:
    return comparison(
        {"id": 17, "status": "open", "total": 10.5, "note": "call first", "lines": [1, 2]},
        {"id": 17, "status": "paid", "total": 10.5, "lines": [1, 2, 3], "paid_at": "2026-11-21T14:02:11Z"},
    )


def _headers() -> Headers:
    return headers(
        [
            ("Content-Type", "application/json"),
            ("webhook-id", "01a1fc32-e7ca-7c3b-bba3-5f0000000002"),
            ("webhook-signature", "v1,AsmLYjCuXFeqZVuYAQkD169VhXjalqkrN5rrfh0AD3o="),
            ("X-Made-Up", HOSTILE),
        ]
    )


def _documents() -> tuple[tuple[str, Document], ...]:
    return (
        ("a body", document(_BODY)),
        ("made to break pages", document(msgspec.json.encode({HOSTILE: HOSTILE, "long": LONG_LINE[:12_000]}))),
        ("no JSON", document(f"<html><body onload=alert(1)>\n{HOSTILE}</body></html>")),
        ("a megabyte in one line", document(LONG_LINE, download=PATH)),
    )


def _sparks() -> tuple[tuple[str, str, str, Sparkline], ...]:
    rises = [12.0, 14, 11, 18, 22, 19, 26, 31, 28, 35, 33, 41]
    falls = [99.9, 99.8, 99.9, 99.7, 99.9, 98.2, 94.1, 91.0, 92.3, 95.5, 98.1, 99.2]
    gaps = [4.0, 6, 5, None, None, 9, 12, 8, None, 7, 6, 5]
    return (
        ("Deliveries per minute", "41", "accent", sparkline("Deliveries per minute", rises)),
        ("Success rate", "99.2\u2009%", "good", sparkline("Success rate", falls, floor=85.0)),
        ("95th percentile", "812\u2009ms", "warn", sparkline("95th percentile", gaps)),
        ("Oldest waiting", "–", "quiet", sparkline("Oldest waiting", [])),
    )


def _chart(now: datetime) -> Chart:
    hours = range(48)
    times = [now.replace(minute=0, second=0, microsecond=0) - timedelta(minutes=30 * (47 - hour)) for hour in hours]
    delivered = [float(180 + 90 * ((hour * 7) % 5) + 6 * hour) for hour in hours]
    retried = [float(30 if 24 <= hour < 34 else 4 + hour % 3) for hour in hours]
    failed = [float((hour - 25) * 14 if 26 <= hour < 33 else hour % 2) for hour in hours]
    series = [Series("failed", "bad", failed), Series("retrying", "warn", retried), Series("delivered", "good", delivered)]
    return chart("outcomes", "Outcomes, last 24 h", unit="attempts", times=times, series=series, is_stacked=True)


def _filters(asked: dict[str, str]) -> FilterBar:
    states = tuple(Option(name, state(name).word) for name in ("succeeded", "retrying", "failed", "pending"))
    offered = [
        Filter("status", "Status", "choice", states),
        Filter("webhook", "Webhook", hint="name or URL"),
        Filter("type", "Event", hint="order.*"),
        Filter("since", "Since", hint="1 h, 2026-11-20"),
    ]
    shown = asked or {"status": "failed", "webhook": "ERP", "since": "1 h"}
    return filter_bar(PATH, "deliveries", offered, shown, error="" if not asked.get("error") else "since cannot be read.")


def _table(now: datetime, asked: dict[str, str]) -> Table:
    samples = (
        (2, "failed", "order.paid", "ERP", "500", 812.0, "order 17"),
        (4, "retrying", "collection.object.created", "CMS", "timeout", 30_000.0, "post a81"),
        (9, "succeeded", "table.orders.updated", "Warehouse", "200", 41.0, "order 16"),
        (31, "pending", "order.paid", "ERP", "–", None, "order 15"),
        (64, "sending", "customer.created", "CRM", "–", None, "customer 4"),
        (95, "cancelled", "order.shipped", "Old shop", "–", None, "order 3"),
        (140, "succeeded", HOSTILE, HOSTILE, "204", 0.4, HOSTILE),
        (190, "succeeded", "order." + "very_" * 30 + "long", "Archive", "200", 65.0, "order 1"),
    )
    rows = tuple(
        Row(
            f"sample-{index}",
            f"{PATH}#row-sample-{index}",
            f"{visible(kind, limit=40).plain} to {visible(name, limit=40).plain}, {state(condition).word}",
            Delivery(
                when(now - timedelta(seconds=ago), now),
                state(condition),
                visible(kind, limit=80),
                visible(name, limit=60),
                answer,
                duration(took),
                visible(record, limit=60),
            ),
        )
        for index, (ago, condition, kind, name, answer, took, record) in enumerate(samples)
    )
    columns = (
        column("Time", name="at", path=PATH, asked={"sort": "-at"} | asked),
        column("State", name="state", path=PATH, asked=asked),
        Column("Event", "wide"),
        Column("Webhook"),
        Column("Answer", "number"),
        column("Took", name="took", path=PATH, asked=asked, kind="number", is_minor=True),
        Column("Record", is_minor=True),
    )
    return Table("deliveries", "Deliveries", columns, rows, can_select=True, form="chosen")


def _fields() -> tuple[Field, ...]:
    profiles = (Option("standard", "Standard Webhooks", is_chosen=True), Option("cloudevents", "CloudEvents"))
    return (
        Field(
            "url", "URL", "url", "http://localhost:3000/hook", "Where requests go. This server must reach it.",
            "localhost is this server, not your machine. Run “tidings listen” there and use its URL.", is_required=True,
        ),
        Field("name", "Name", hint="What you call it in lists.", placeholder="ERP"),
        Field("profile", "Profile", "choice", options=profiles),
        Field("template", "Body", "area", '{"text": "{{type}}"}', is_code=True),
        Field("ordered", "One after the other", "check", "true", hint="Keeps the order of each record’s events; slower."),
    )  # fmt: skip
