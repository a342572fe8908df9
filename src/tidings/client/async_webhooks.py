"""`client.webhooks`, for the asynchronous client."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Unpack

from tidings.client.async_http import AsyncHttp
from tidings.client.examined_models import Diagnosis
from tidings.client.exchange import DIAGNOSIS_TIMEOUT, TEST_TIMEOUT, WALKED, by_last, by_member, part
from tidings.client.filters import AfterPaged, DryRunAsked, Id, StatisticsFilters, Walked, WebhookDeliveryFilters
from tidings.client.history_models import Delivery, Page, Recovery, Statistics
from tidings.client.inputs import DryRunInput, PreviewInput, RecoverInput, Rotation, TestInput, WebhookChange, WebhookSettings
from tidings.client.models import DryRun, HeardEvent, Preview, Secret, TestResult, Version, Webhook

# The class below has a method called `list`, which hides the type of that name.
_Webhooks = list[Webhook]
_Deliveries = list[Delivery]
_Versions = list[Version]
_Heard = list[HeardEvent]

_ROOT = "/api/v1/webhooks"
_ASKED = frozenset(DryRunAsked.__annotations__)


class AsyncWebhooks:
    """`client.webhooks`: who is told of what, and where."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def create(self, url: str, events: Sequence[Any], **settings: Unpack[WebhookSettings]) -> Webhook:
        """Create a webhook. The answer has its secret.

        Args:
            events: Event types, families such as `content.*`, `*`, or `{"table": "orders"}`.
        """
        return await self._http.request("POST", _ROOT, Webhook, body={"url": url, "events": events, **settings})

    async def list(self, **page: Unpack[AfterPaged]) -> _Webhooks:
        """List webhooks, newest first, each with its health."""
        return await self._http.request("GET", _ROOT, _Webhooks, query=page)

    def walk(self, **page: Unpack[AfterPaged]) -> AsyncIterator[Webhook]:
        """Read every webhook, newest first."""
        return self._http.walk(_ROOT, _Webhooks, {"limit": WALKED, **page}, by_last("id"))

    async def get(self, webhook_id: Id) -> Webhook:
        """Read a webhook, with its health and the state of each table it names."""
        return await self._http.request("GET", _at(webhook_id), Webhook)

    async def update(self, webhook_id: Id, **changes: Unpack[WebhookChange]) -> Webhook:
        """Change what is named; the rest stays."""
        return await self._http.request("PATCH", _at(webhook_id), Webhook, body=changes)

    async def delete(self, webhook_id: Id) -> None:
        """Delete a webhook. Its unfinished deliveries are cancelled; its history stays until retention ends."""
        await self._http.request("DELETE", _at(webhook_id), object)

    async def test(self, webhook_id: Id, **content: Unpack[TestInput]) -> TestResult:
        """Send a test event and wait for what comes of it. It is tried once, paused or not."""
        return await self._http.request("POST", f"{_at(webhook_id)}/test", TestResult, body=content, timeout=TEST_TIMEOUT)

    async def diagnose(self, webhook_id: Id) -> Diagnosis:
        """Find out why a webhook's receiver refuses deliveries, by up to twelve requests to it, paused or not.

        Some are signed wrongly on purpose. They are no deliveries: no history or statistics hear of them.
        """
        return await self._http.request("POST", f"{_at(webhook_id)}/diagnose", Diagnosis, timeout=DIAGNOSIS_TIMEOUT)

    async def preview(self, webhook_id: Id, **content: Unpack[PreviewInput]) -> Preview:
        """Read the exact request that a webhook would send, as it is or as fields change it. Nothing is changed or sent."""
        return await self._http.request("POST", f"{_at(webhook_id)}/preview", Preview, body=content, repeatable=True)

    async def preview_draft(self, **content: Unpack[PreviewInput]) -> Preview:
        """Read the exact request that a webhook would send which is not saved yet."""
        return await self._http.request("POST", f"{_ROOT}/preview", Preview, body=content, repeatable=True)

    async def dry_run(self, webhook_id: Id, **asked: Unpack[DryRunInput]) -> DryRun:
        """Read what a webhook would have been sent of the last days, as it is or as fields change it. Nothing is sent."""
        query, body = _split(asked)
        path = f"{_at(webhook_id)}/dry-run"
        return await self._http.request("POST", path, DryRun, body=body or None, query=query, repeatable=True)

    def walk_dry_run(self, webhook_id: Id, **asked: Unpack[DryRunInput]) -> AsyncIterator[HeardEvent]:
        """Read every event that a webhook would have been sent of the last days, newest first."""
        query, body = _split(asked)
        path = f"{_at(webhook_id)}/dry-run"
        return self._http.walk(path, _Heard, query, by_member("events"), method="POST", body=body or None)

    async def dry_run_draft(self, **asked: Unpack[DryRunInput]) -> DryRun:
        """Read what a webhook would have been sent of the last days that is not saved yet. Nothing is sent or saved."""
        query, body = _split(asked)
        return await self._http.request("POST", f"{_ROOT}/dry-run", DryRun, body=body, query=query, repeatable=True)

    def walk_dry_run_draft(self, **asked: Unpack[DryRunInput]) -> AsyncIterator[HeardEvent]:
        """Read every event that a webhook would have been sent which is not saved yet, newest first."""
        query, body = _split(asked)
        return self._http.walk(f"{_ROOT}/dry-run", _Heard, query, by_member("events"), method="POST", body=body)

    async def recover(self, webhook_id: Id, **asked: Unpack[RecoverInput]) -> Recovery:
        """Send a webhook all again, as a job, that it did not acknowledge of the events of a time."""
        return await self._http.request("POST", f"{_at(webhook_id)}/recover", Recovery, body=asked)

    async def get_secret(self, webhook_id: Id) -> Secret:
        """Read the secret that verifies this webhook's deliveries."""
        return await self._http.request("GET", f"{_at(webhook_id)}/secret", Secret)

    async def rotate_secret(self, webhook_id: Id, **rotation: Unpack[Rotation]) -> Secret:
        """Give the webhook another secret; the present one verifies beside it until the overlap ends."""
        return await self._http.request("POST", f"{_at(webhook_id)}/secret/rotate", Secret, body=rotation)

    async def get_statistics(self, webhook_id: Id, **asked: Unpack[StatisticsFilters]) -> Statistics:
        """Read how a webhook's attempts fared; of the last day when nothing is said."""
        return await self._http.request("GET", f"{_at(webhook_id)}/statistics", Statistics, query=asked)

    async def list_deliveries(self, webhook_id: Id, **filters: Unpack[WebhookDeliveryFilters]) -> _Deliveries:
        """List a webhook's deliveries, newest first."""
        return (await self.page_deliveries(webhook_id, **filters)).items

    async def page_deliveries(self, webhook_id: Id, **filters: Unpack[WebhookDeliveryFilters]) -> Page[Delivery]:
        """List a webhook's deliveries, with the cursors of the pages around."""
        return await self._http.page(f"{_at(webhook_id)}/deliveries", _Deliveries, filters)

    def walk_deliveries(self, webhook_id: Id, **filters: Unpack[WebhookDeliveryFilters]) -> AsyncIterator[Delivery]:
        """Read every delivery of a webhook that fits, newest first."""
        return self._http.walk(f"{_at(webhook_id)}/deliveries", _Deliveries, filters)

    async def list_versions(self, webhook_id: Id, **page: Unpack[Walked]) -> _Versions:
        """List what a webhook was, and what changed when, newest first."""
        return await self._http.request("GET", f"{_at(webhook_id)}/versions", _Versions, query=page)

    def walk_versions(self, webhook_id: Id, **page: Unpack[Walked]) -> AsyncIterator[Version]:
        """Read every version of a webhook, newest first."""
        return self._http.walk(f"{_at(webhook_id)}/versions", _Versions, {"limit": WALKED, **page}, by_last("version"))


def _at(webhook_id: Id) -> str:
    return f"{_ROOT}/{part(webhook_id)}"


def _split(asked: DryRunInput) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what goes into the query, and what into the body."""
    query = {name: value for name, value in asked.items() if name in _ASKED}
    return query, {name: value for name, value in asked.items() if name not in _ASKED}
