"""Requests are prepared once for each version of a webhook, and not kept for ever."""

from uuid import UUID

import msgspec

from tests.unit.test_signature_and_profile import KEYS, event, webhook
from tidings.store.signing_keys import KeyRing
from tidings.worker.prepared_cache import MAX_PREPARED, PreparedCache


def test_a_changed_webhook_is_prepared_anew_and_an_unchanged_one_is_not() -> None:
    ring = KeyRing(KEYS, ())
    cache, first = PreparedCache(ring), webhook()
    prepared = cache.get(first)
    assert cache.get(first) is prepared
    changed = msgspec.structs.replace(first, url="https://example.com/elsewhere")
    assert b"/elsewhere" in cache.get(changed).write(event(), UUID(int=3), 1)
    prepared = cache.get(changed)
    ring.current = msgspec.structs.replace(KEYS, signer_id=2)
    assert cache.get(changed) is not prepared, "its keys were rotated"


def test_the_webhook_used_longest_ago_is_forgotten_first() -> None:
    cache = PreparedCache(KeyRing(KEYS, ()))
    hooks = [webhook(id=UUID(int=number), profile="vski") for number in range(MAX_PREPARED + 1)]
    kept, forgotten = cache.get(hooks[0]), cache.get(hooks[1])
    for hook in hooks[2:]:
        cache.get(hooks[0])
        cache.get(hook)
    assert cache.get(hooks[0]) is kept
    assert cache.get(hooks[1]) is not forgotten
