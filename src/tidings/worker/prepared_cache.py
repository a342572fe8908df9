"""What makes the requests of the webhooks in use, so that it is made once for many deliveries."""

from collections import OrderedDict
from uuid import UUID

from tidings.core.webhook import Webhook
from tidings.profiles import Prepared, prepare
from tidings.store.signing_keys import KeyRing

MAX_PREPARED = 10_000  # a kilobyte each


class PreparedCache:
    """The webhooks used last, up to a bound in number."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._keys = ring.current
        self._prepared: OrderedDict[UUID, Prepared] = OrderedDict()  # the one used last at the end

    def find(self, webhook: Webhook) -> Prepared | None:
        """Return what makes the webhook's requests, if it is at hand."""
        prepared = self._prepared.get(webhook.id)
        return prepared if prepared is not None and prepared.webhook is webhook else None

    def get(self, webhook: Webhook) -> Prepared:
        """Return what makes the webhook's requests; anew when it was made for an earlier version, or was forgotten."""
        if self._keys is not self._ring.current:  # they were rotated
            self._keys = self._ring.current
            self._prepared.clear()
        prepared = self._prepared.get(webhook.id)
        if prepared is None or prepared.webhook is not webhook:
            prepared = self._prepared[webhook.id] = prepare(webhook, self._keys)
        self._prepared.move_to_end(webhook.id)
        if len(self._prepared) > MAX_PREPARED:
            self._prepared.popitem(last=False)
        return prepared
