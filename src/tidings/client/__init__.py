"""The Python SDK: manage webhooks, publish events, verify what a receiver gets."""

from tidings.client.async_client import AsyncClient
from tidings.client.errors import ApiError
from tidings.client.models import (
    Attempt,
    BatchResult,
    Condition,
    Delivery,
    DryRun,
    Explained,
    Figures,
    FilterExplained,
    Health,
    HeardEvent,
    Page,
    Preview,
    Published,
    Recovery,
    Secret,
    SentRequest,
    Statistics,
    TestResult,
    Webhook,
    WebhookExplained,
)
from tidings.client.sync_client import Client
from tidings.client.transaction import publish, publish_async, within, within_async
from tidings.client.verify import VerificationError, verify

__all__ = [
    "ApiError",
    "AsyncClient",
    "Attempt",
    "BatchResult",
    "Client",
    "Condition",
    "Delivery",
    "DryRun",
    "Explained",
    "Figures",
    "FilterExplained",
    "Health",
    "HeardEvent",
    "Page",
    "Preview",
    "Published",
    "Recovery",
    "Secret",
    "SentRequest",
    "Statistics",
    "TestResult",
    "VerificationError",
    "Webhook",
    "WebhookExplained",
    "publish",
    "publish_async",
    "verify",
    "within",
    "within_async",
]
