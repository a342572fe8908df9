"""Fluxbase's words: what its clients read of a webhook, a delivery and a test, beside our own names for the same.

Its routes are ours: `/api/v1/webhooks` and what is below. So its words stand in answers about webhooks whose profile is
Fluxbase's, and nowhere else: everybody else finds one name for each thing.
"""

from typing import Any, Final

import msgspec

from tidings.api.routes.delivery_view import DeliveryView
from tidings.api.routes.test_view import TestResult
from tidings.api.routes.webhook_view import WebhookView
from tidings.core.retry import retry_count
from tidings.core.webhook import Subscription
from tidings.operations.webhooks.shown import SCOPES

PROFILES: Final = frozenset({"fluxbase", "fluxbase-t"})

_UPDATED = "Webhook updated successfully"


class FluxbaseWebhook(WebhookView, frozen=True, kw_only=True):
    """A webhook in Fluxbase's words too. `message`: in the answer to a change."""

    is_active: bool
    max_retries: int
    retry_backoff_seconds: float
    scope: str
    message: str | msgspec.UnsetType = msgspec.UNSET


class FluxbaseDelivery(DeliveryView, frozen=True, kw_only=True):
    """A delivery in the words of Fluxbase's server, its SDK and its admin pages too."""

    event_type: str
    table_name: str | None
    attempt: int
    attempt_number: int
    status_code: int | None
    http_status_code: int | None
    response_code: int | None
    error_message: str | None


class FluxbaseTestResult(TestResult, frozen=True, kw_only=True):
    """What came of a test, in Fluxbase's words too."""

    status_code: int | None


def webhook(view: WebhookView, said: Subscription, *, is_changed: bool = False) -> WebhookView:
    """Return a webhook as it is shown, with Fluxbase's words if its profile is Fluxbase's."""
    if said.profile not in PROFILES:
        return view
    return FluxbaseWebhook(
        **_fields(view),
        is_active=said.enabled,
        max_retries=retry_count(said.retry),
        retry_backoff_seconds=said.retry.delay_after(1) or 0,
        scope=SCOPES[0],
        message=_UPDATED if is_changed else msgspec.UNSET,
    )


def delivery(view: DeliveryView, to: Subscription | None) -> DeliveryView:
    """Return a delivery as it is shown, with Fluxbase's words if it is to a webhook of Fluxbase's profile."""
    if to is None or to.profile not in PROFILES:
        return view
    return FluxbaseDelivery(
        **_fields(view),
        event_type=view.event,
        table_name=view.table,
        attempt=view.attempts,
        attempt_number=view.attempts,
        status_code=view.response_status,
        http_status_code=view.response_status,
        response_code=view.response_status,
        error_message=view.error,
    )


def test_result(view: TestResult, profile: str) -> TestResult:
    """Return what came of a test as it is shown, with Fluxbase's word for the status if the profile is Fluxbase's."""
    return FluxbaseTestResult(**_fields(view), status_code=view.response_status) if profile in PROFILES else view


def _fields(view: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(view, name) for name in view.__struct_fields__}
