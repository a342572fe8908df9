"""What notices mean: whatever arrives in whatever order, the newest state counts."""

import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidings.core.errors import InvalidInputError
from tidings.core.notice import PLATFORMS, ObjectNews, Stored, decide_action, meaning_of, read_body

_NEWS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "b", None])), min_size=1, max_size=12)


@given(_NEWS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_what_is_known(news: list[tuple[int, str | None]], rng: Any) -> None:
    # Of several states as old as each other none is the true one; a platform tells one.
    by_version = dict(news)
    history = [ObjectNews("t", "1", version, value and json.dumps(value)) for version, value in by_version.items()]
    rng.shuffle(history)
    stored: Stored | None = None
    told: list[str] = []
    for one in history:
        action = decide_action(stored, one)
        if action is not None:
            stored = Stored(one.version, one.data)
        if action not in {None, "unchanged"}:
            told.append(str(action))
    newest = max(by_version)
    expected = by_version[newest]
    assert (None if stored is None or stored.data is None else json.loads(stored.data)) == expected
    for before, after in itertools.pairwise(told):
        assert (before == "deleted") == (after == "created")


@given(st.sampled_from(PLATFORMS), st.dictionaries(
    st.sampled_from(["type", "event", "data", "object", "id", "created", "action", "issue", "timestamp", "deployment_status", "build"]),
    st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | st.integers(),
                 lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "object", "data", "updated_at", "state"]), inner, max_size=3), max_leaves=8)),
    st.sampled_from(["issues", "deployment_status", "page_build", "push", "", "x\x00"]))  # fmt: skip
def test_whatever_a_notice_holds_it_means_something(platform: str, body: dict[str, Any], event: str) -> None:
    try:
        read = read_body(json.dumps(body).encode())
    except InvalidInputError:
        return
    meaning = meaning_of(platform, read, {"x-github-event": event}, 1.0)
    if meaning.news is not None:
        assert meaning.news.id
        assert "\x00" not in meaning.news.id + meaning.news.type
        assert meaning.news.data is None or isinstance(json.loads(meaning.news.data), dict)


def test_digits_stay_as_they_were_written() -> None:
    body = read_body(b'{"type": "price.updated", "data": {"id": 1, "amount": 1.10, "updated_at": 3.5}}')
    news = meaning_of("standard", body, {}, 0.0).news
    assert news is not None
    assert (news.data, news.version) == ('{"id":1,"amount":1.10,"updated_at":3.5}', 3.5)
