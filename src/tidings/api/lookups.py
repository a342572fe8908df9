"""What is looked up, or is not there."""

from typing import TypeVar
from uuid import UUID

from tidings.core.errors import NotFoundError
from tidings.core.webhook import Webhook

T = TypeVar("T")


def there(value: T | None, sentence: str) -> T:
    """Return what was looked up.

    Raises:
        NotFoundError: It is not there, which the sentence says.
    """
    if value is None:
        raise NotFoundError(sentence)
    return value


def found(webhook: Webhook | None, webhook_id: UUID) -> Webhook:
    """Return the webhook.

    Raises:
        NotFoundError: There is none.
    """
    return there(webhook, f"There is no webhook {webhook_id}.")
