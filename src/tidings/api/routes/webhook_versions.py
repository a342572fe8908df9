"""`GET /api/v1/webhooks/{id}/versions`: what a webhook was, and what changed when."""

from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tidings.api.http.paging import Limit
from tidings.operations.services import Services
from tidings.operations.webhooks import subscriptions
from tidings.store.webhook_versions import Version

Before = Annotated[
    int | None,
    QueryParameter(name="cursor", ge=1, le=2**31 - 1, description="The version of the last entry of the page before."),
]


@get("/{webhook_id:str}/versions")
async def list_versions(
    services: NamedDependency[Services], webhook_id: FromPath[UUID], limit: Limit = 50, before: Before = None
) -> list[Version]:
    """List a webhook's versions with what changed in each, newest first. They outlive it, as long as history names them."""
    return await subscriptions.list_versions(services, webhook_id, limit=limit, before=before)
