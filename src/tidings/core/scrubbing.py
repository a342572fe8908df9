"""What of an answer is kept, where rules hide something of the event it answers.

An answer can say anything: it can echo the request whole, in part, or written otherwise. So `none` is the only way that is
certain, and what a rule means that hides fields and says no more. `scrubbed` hides what was hidden of the event wherever it
stands in the answer, as it is, as JSON, HTML and URLs write it, in base64 and in hexadecimal; what a receiver makes of it
otherwise, as a hash, or a part of it, is not found.
"""

import html
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

from tidings.core.bin import Caught
from tidings.core.event import Event
from tidings.core.hiding import HIDDEN, anywhere, hidden_values, hide
from tidings.core.outcome import Exchange, GiveUp, Gone, Outcome, Result, RetryAt
from tidings.core.redaction import Redaction, Rule

MIN_LENGTH: Final = 3  # characters; a shorter value is in every text, and hiding it would hide that
MAX_VALUES: Final = 500  # more are not looked for: then nothing of the answer is kept
MAX_CHARACTERS: Final = 50_000  # of all values together; of more the same holds
# What is left as it is in URLs: by Python, and by the two ways of JavaScript.
_SAFE: Final = ("", "/", "!*'()", ";/?:@&=+$,#!*'()")
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
        of_records = hidden_values(event.record, kept.record), hidden_values(event.old_record, kept.old_record)
        if None in of_records:  # nobody knows what to look for
            redaction = msgspec.structs.replace(redaction, responses="none")
        told = ((event.subject, kept.subject), (event.external_id, kept.external_id))
        found = [*(value for some in of_records for value in some or ()), *(said for said, left in told if said and not left)]
        values = tuple(dict.fromkeys(value for value in found if len(value) >= MIN_LENGTH))
    if not (values or redaction.fields or redaction.headers or redaction.responses != "full"):
        return None
    return Keeping(redaction, values)


class _Scrub:
    """Takes values out of texts, in the forms that are common. Made once for all texts of an answer.

    The forms are looked for one by one, and not by one expression: of some thousands an expression takes a second, in which
    nobody is served.
    """

    def __init__(self, values: Sequence[str]) -> None:
        self.is_too_much = len(values) > MAX_VALUES or sum(map(len, values)) > MAX_CHARACTERS
        looked_for = values[:MAX_VALUES] if not self.is_too_much else ()
        self._forms = sorted({_lowered(form) for value in looked_for for form in forms_of(value[:MAX_VALUE])}, key=len)
        self.longest = len(self._forms[-1]) if self._forms else 0

    def __call__(self, text: str) -> str:
        if not self._forms or len(text) < len(self._forms[0]):
            return text
        lowered = _lowered(text)
        found = sorted(span for form in self._forms if len(form) <= len(text) for span in _spans(lowered, form))
        kept, end = [], 0
        for first, behind in found:
            if first >= end:
                kept += [text[end:first], HIDDEN]
            end = max(end, behind)
        return "".join((*kept, text[end:])) if kept else text


def _spans(text: str, form: str) -> Iterable[tuple[int, int]]:
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + len(form))


def _lowered(text: str) -> str:
    """Return a text in small letters, each in its place: some letters are two when they are small."""
    lowered = text.lower()
    return (
        lowered if len(lowered) == len(text) else "".join(small if len(small := sign.lower()) == 1 else sign for sign in text)
    )


def kept_result(result: Result, keeping: Keeping | None) -> Result:
    """Return what came of an attempt as it is kept, told and logged."""
    if keeping is None:
        return result
    scrub = _Scrub(keeping.values)
    exchange, outcome = _kept_exchange(result.exchange, keeping, scrub), _kept_outcome(result.outcome, scrub)
    return msgspec.structs.replace(result, exchange=exchange, outcome=outcome)


def kept_exchange(exchange: Exchange, keeping: Keeping) -> Exchange:
    """Return what came of a request as it is kept."""
    return _kept_exchange(exchange, keeping, _Scrub(keeping.values))


def kept_outcome(outcome: Outcome, keeping: Keeping) -> Outcome:
    """Return what an attempt means, without what is hidden in its reason."""
    return _kept_outcome(outcome, _Scrub(keeping.values))


def _kept_exchange(exchange: Exchange, keeping: Keeping, scrub: _Scrub) -> Exchange:
    redaction = keeping.redaction
    error = None if exchange.error is None else _told(exchange.error, scrub)
    if redaction.responses == "none" or scrub.is_too_much:
        return msgspec.structs.replace(exchange, headers=(), body=b"", is_truncated=False, error=error)
    headers = tuple((name, HIDDEN if name in redaction.headers else value) for name, value in exchange.headers)
    if redaction.responses == "full":
        return msgspec.structs.replace(exchange, headers=headers, error=error)
    return msgspec.structs.replace(
        exchange,
        headers=tuple((name, scrub(value)) for name, value in headers),
        body=_kept_body(
            exchange.body, redaction.fields, scrub, is_truncated=exchange.is_truncated or exchange.failure is not None
        ),
        error=error,
    )


def _kept_outcome(outcome: Outcome, scrub: _Scrub) -> Outcome:
    if not isinstance(outcome, RetryAt | GiveUp | Gone):
        return outcome
    return msgspec.structs.replace(outcome, reason=_told(outcome.reason, scrub))


def _told(sentence: str, scrub: _Scrub) -> str:
    """Return a sentence about an attempt as it is kept: hidden whole where nobody looks for all values."""
    return HIDDEN if scrub.is_too_much else scrub(sentence)


def _kept_body(body: bytes, fields: Iterable[str], scrub: _Scrub, *, is_truncated: bool) -> bytes:
    """Return a body whose shape is not known without values, and, where it is JSON, without fields, however deep they are."""
    text = body.decode("utf-8", "replace")
    if is_truncated:  # half a value can stand at its end
        text = text[: max(0, len(text) - scrub.longest)]
    text = scrub(text)
    paths = [anywhere(path) for path in fields]
    if paths and text.lstrip()[:1] in {"{", "["}:
        text, _ = hide(text, paths)
    return text.encode("utf-8", "replace")


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
        body = _kept_body(body, fields, _Scrub(()), is_truncated=False) if is_json else HIDDEN.encode()
    return msgspec.structs.replace(request, path=request.path.partition("?")[0], body=body)
