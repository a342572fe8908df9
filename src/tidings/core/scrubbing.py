"""What of an answer is kept, where rules hide something of the event it answers.

An answer can say anything: it can echo the request whole, in part, or written otherwise. So `none` is the only way that is
certain, and what a rule means that hides fields and says no more. `scrubbed` hides what was hidden of the event wherever it
stands in the answer, as it is, as JSON, HTML and URLs write it, in base64 and in hexadecimal; what a receiver makes of it
otherwise, as a hash, or a part of it, is not found.
"""

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

from tidings.core.bin import Caught
from tidings.core.event import Event
from tidings.core.outcome import Exchange, GiveUp, Gone, Outcome, Result, RetryAt
from tidings.core.redaction import HIDDEN, Redaction, Rule, hidden_values, hide, parse_path

MIN_LENGTH: Final = 3  # characters; a shorter value is in every text, and hiding it would hide that
MAX_VALUES: Final = 500  # more are not looked for: then nothing of the answer is kept
_SAFE: Final = (
    "",
    "/",
    "!*'()",
    ";/?:@&=+$,#!*'()",
)  # what is left as it is in URLs: by Python, and by the two ways of JavaScript
MAX_VALUE: Final = 4096  # characters of a value that is looked for; of a longer one its beginning is


class Keeping(msgspec.Struct, frozen=True, gc=False):
    """What is kept of the answers to one delivery."""

    redaction: Redaction
    values: tuple[str, ...] = ()


def keeping_of(redaction: Redaction | None, event: Event, kept: Event | None) -> Keeping | None:
    """Return what is kept of the answers to an event; None: everything.

    Args:
        event: As it is sent.
        kept: As it is kept; None: it is kept whole.
    """
    if redaction is None:
        return None
    values: tuple[str, ...] = ()
    if kept is not None:
        found = [
            *hidden_values(event.record, kept.record),
            *hidden_values(event.old_record, kept.old_record),
            *(
                said
                for said, left in ((event.subject, kept.subject), (event.external_id, kept.external_id))
                if said and not left
            ),
        ]
        values = tuple(dict.fromkeys(value for value in found if len(value) >= MIN_LENGTH))
    if not (values or redaction.fields or redaction.headers or redaction.responses != "full"):
        return None
    return Keeping(redaction, values)


def kept_exchange(exchange: Exchange, keeping: Keeping) -> Exchange:
    """Return what came of a request as it is kept."""
    redaction = keeping.redaction
    scrub = _scrubber(keeping.values)
    error = None if exchange.error is None else _in_text(exchange.error, scrub)
    if redaction.responses == "none" or len(keeping.values) > MAX_VALUES:
        return msgspec.structs.replace(exchange, headers=(), body=b"", is_truncated=False, error=error)
    headers = tuple((name, HIDDEN if name in redaction.headers else value) for name, value in exchange.headers)
    if redaction.responses == "full":
        return msgspec.structs.replace(exchange, headers=headers, error=error)
    return msgspec.structs.replace(
        exchange,
        headers=tuple((name, _in_text(value, scrub)) for name, value in headers),
        body=kept_body(
            exchange.body, redaction.fields, keeping.values, is_truncated=exchange.is_truncated or exchange.failure is not None
        ),
        error=error,
    )


def kept_outcome(outcome: Outcome, keeping: Keeping) -> Outcome:
    """Return what an attempt means, without what is hidden in its reason."""
    if not isinstance(outcome, RetryAt | GiveUp | Gone) or not keeping.values:
        return outcome
    return msgspec.structs.replace(outcome, reason=_in_text(outcome.reason, _scrubber(keeping.values)))


def kept_result(result: Result, keeping: Keeping | None) -> Result:
    """Return what came of an attempt as it is kept, told and logged."""
    if keeping is None:
        return result
    exchange = kept_exchange(result.exchange, keeping)
    return msgspec.structs.replace(result, exchange=exchange, outcome=kept_outcome(result.outcome, keeping))


def kept_body(body: bytes, fields: Iterable[str], values: Sequence[str], *, is_truncated: bool) -> bytes:
    """Return a body whose shape is not known without values, and, where it is JSON, without fields, however deep they are."""
    text = body.decode("utf-8", "replace")
    scrub = _scrubber(values)
    if is_truncated and scrub is not None:  # half a value can stand at its end
        text = text[: max(0, len(text) - _longest(values))]
    text = _in_text(text, scrub)
    paths = [anywhere(path) for path in fields]
    if paths and text.lstrip()[:1] in {"{", "["}:
        text, _ = hide(text, paths)
    return text.encode("utf-8", "replace")


def anywhere(path: str) -> tuple[str, ...]:
    """Return the path that finds what a path names at any depth."""
    names = parse_path(path)
    return names if names[0] == "**" else ("**", *names)


def _in_text(text: str, scrub: re.Pattern[str] | None) -> str:
    return text if scrub is None else scrub.sub(HIDDEN, text)


def _scrubber(values: Sequence[str]) -> re.Pattern[str] | None:
    forms = {form for value in values[:MAX_VALUES] for form in forms_of(value[:MAX_VALUE])}
    if not forms:
        return None
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)


def _longest(values: Sequence[str]) -> int:
    return max((len(form) for value in values[:MAX_VALUES] for form in forms_of(value[:MAX_VALUE])), default=0)


def forms_of(value: str) -> set[str]:
    """Return the ways in which a value is commonly written."""
    data = value.encode("utf-8", "surrogatepass")
    forms = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(value)[1:-1].replace("/", "\\/"),  # as PHP and Java write it
        html.escape(value),
        html.escape(value, quote=False),
        html.escape(value).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),  # as Go and Jinja write it
        *(quote(data, safe=safe) for safe in _SAFE),
        quote_plus(data),
        data.hex(),
        *_base64_forms(data),
    }
    return {form for form in forms if len(form) >= MIN_LENGTH}


def _base64_forms(data: bytes) -> Iterable[str]:
    """Return what of a value's base64 is the same whatever stands around it, wherever among other bytes it begins."""
    for before in range(3):
        encoded = b64encode(b"\0" * before + data).decode().rstrip("=")
        first = -(-before * 8 // 6)  # the digits that bytes before it have a part in
        last = (before + len(data)) * 8 // 6  # those that bytes behind it have none in
        piece = encoded[first:last]
        if len(piece) >= 4:
            yield piece
            yield piece.replace("+", "-").replace("/", "_")


def kept_of_bin(request: Caught, rules: Iterable[Rule]) -> Caught:
    """Return a request to a bin as it is kept, where the bin's group has rules.

    Nobody knows which event it is of, nor its shape: so fields of all rules are hidden at any depth, and what is no JSON that
    was read to its end is not kept.
    """
    rules = tuple(rules)
    headers = {name.lower() for rule in rules for name in rule.headers}
    fields = [path for rule in rules for path in rule.fields] + (["subject"] if any(rule.subject for rule in rules) else [])
    if headers:
        kept = tuple((name, HIDDEN if name.lower() in headers else value) for name, value in request.headers)
        request = msgspec.structs.replace(request, headers=kept)
    if not fields:
        return request
    body = request.body
    is_json = request.is_whole and body.lstrip()[:1] in {b"{", b"["}
    if body:
        body = kept_body(body, fields, (), is_truncated=False) if is_json else HIDDEN.encode()
    return msgspec.structs.replace(request, path=request.path.partition("?")[0], body=body)
