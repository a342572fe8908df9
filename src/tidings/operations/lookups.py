"""What is looked up, or is not there."""

from typing import TypeVar
from uuid import UUID

from tidings.core.errors import NotFoundError
from tidings.core.webhook import Subscription

T = TypeVar("T")
W = TypeVar("W", bound=Subscription)


def there(value: T | None, sentence: str) -> T:
    """Return what was looked up.

    Raises:
        NotFoundError: It is not there, which the sentence says.
    """
    if value is None:
        raise NotFoundError(sentence)
    return value


def found(webhook: W | None, webhook_id: UUID) -> W:
    """Return the webhook.

    Raises:
        NotFoundError: There is none.
    """
    return there(webhook, f"There is no webhook {webhook_id}.")
