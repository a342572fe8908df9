# Made of `async_privacy.py` by `python tools/make_sync_client.py`.
"""`client.redaction` and `client.erasures`, for the synchronous client."""

from collections.abc import Iterator
from typing import Unpack

from tidings.client.exchange import WALKED, by_offset, part
from tidings.client.filters import Id, Paged
from tidings.client.privacy_inputs import ErasureInput, RedactionChange, RedactionInput, RedactionPreviewInput, SubjectInput
from tidings.client.privacy_models import Erasure, RedactionPreview, RedactionRule
from tidings.client.sync_http import Http

# The classes below have a method called `list`, which hides the type of that name.
_Rules = list[RedactionRule]
_Erasures = list[Erasure]


class Redaction:
    """`client.redaction`: what of events and of answers is not kept."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, **said: Unpack[RedactionInput]) -> RedactionRule:
        """Make a rule. It holds for what is routed from then on."""
        return self._http.request("POST", "/api/v1/redaction-rules", RedactionRule, body=said)

    def list(self, **page: Unpack[Paged]) -> _Rules:
        """List rules, oldest first."""
        return self._http.request("GET", "/api/v1/redaction-rules", _Rules, query=page)

    def walk(self, **page: Unpack[Paged]) -> Iterator[RedactionRule]:
        """Read every rule, oldest first."""
        return self._http.walk("/api/v1/redaction-rules", _Rules, {"limit": WALKED, **page}, by_offset)

    def get(self, rule_id: Id) -> RedactionRule:
        """Read a rule."""
        return self._http.request("GET", f"/api/v1/redaction-rules/{part(rule_id)}", RedactionRule)

    def update(self, rule_id: Id, **changes: Unpack[RedactionChange]) -> RedactionRule:
        """Change a rule, for what is routed from then on."""
        return self._http.request("PATCH", f"/api/v1/redaction-rules/{part(rule_id)}", RedactionRule, body=changes)

    def delete(self, rule_id: Id) -> None:
        """Delete a rule. What it has kept from being kept does not come back."""
        self._http.request("DELETE", f"/api/v1/redaction-rules/{part(rule_id)}", object)

    def preview(self, **asked: Unpack[RedactionPreviewInput]) -> RedactionPreview:
        """Show what a rule would do to an event that happened."""
        return self._http.request("POST", "/api/v1/redaction-rules/preview", RedactionPreview, body=asked, repeatable=True)


class Erasures:
    """`client.erasures`: what is kept of somebody, taken out of all places."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def begin(self, **said: Unpack[ErasureInput]) -> Erasure:
        """Begin to erase what is kept of a subject, as a job; with `dry_run` it only counts."""
        return self._http.request("POST", "/api/v1/erasures", Erasure, body=said)

    def find(self, **subject: Unpack[SubjectInput]) -> _Erasures:
        """Find the erasures of a subject, newest first."""
        return self._http.request("POST", "/api/v1/erasures/find", _Erasures, body=subject, repeatable=True)

    def list(self, **page: Unpack[Paged]) -> _Erasures:
        """List erasures, newest first."""
        return self._http.request("GET", "/api/v1/erasures", _Erasures, query=page)

    def walk(self, **page: Unpack[Paged]) -> Iterator[Erasure]:
        """Read every erasure, newest first."""
        return self._http.walk("/api/v1/erasures", _Erasures, {"limit": WALKED, **page}, by_offset)

    def get(self, erasure_id: Id) -> Erasure:
        """Read how far an erasure has come, and its report."""
        return self._http.request("GET", f"/api/v1/erasures/{part(erasure_id)}", Erasure)

    def cancel(self, erasure_id: Id) -> Erasure:
        """End an erasure early. What it has erased stays erased."""
        return self._http.request("POST", f"/api/v1/erasures/{part(erasure_id)}/cancel", Erasure)
