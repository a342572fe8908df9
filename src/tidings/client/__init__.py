"""The Python SDK: manage webhooks, publish events, verify what a receiver gets."""

from tidings.client.async_client import AsyncClient
from tidings.client.errors import ApiError
from tidings.client.models import (
    Attempt,
    BatchResult,
    Delivery,
    Figures,
    Health,
    Page,
    Preview,
    Published,
    Secret,
    Statistics,
    TestResult,
    Webhook,
)
from tidings.client.sync_client import Client
from tidings.client.transaction import publish, publish_async
from tidings.client.verify import VerificationError, verify

__all__ = [
    "ApiError",
    "AsyncClient",
    "Attempt",
    "BatchResult",
    "Client",
    "Delivery",
    "Figures",
    "Health",
    "Page",
    "Preview",
    "Published",
    "Secret",
    "Statistics",
    "TestResult",
    "VerificationError",
    "Webhook",
    "publish",
    "publish_async",
    "verify",
]
