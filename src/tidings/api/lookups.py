"""What is looked up by an id, or is not there."""

from uuid import UUID

from tidings.core.errors import NotFoundError
from tidings.core.webhook import Webhook


def found(webhook: Webhook | None, webhook_id: UUID) -> Webhook:
    """Return the webhook.

    Raises:
        NotFoundError: There is none.
    """
    if webhook is None:
        raise NotFoundError(f"There is no webhook {webhook_id}.")
    return webhook
