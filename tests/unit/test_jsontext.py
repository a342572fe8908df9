"""JSON text as JavaScript would write it, against Node itself."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.documents import dumped
from tidings.core.errors import RenderError
from tidings.core.jsontext import changed_keys, number_text, stable


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"a": 1.00, "b":[ 1e2 ,-0, 0.10]}', '{"a":1,"b":[100,0,0.1]}'),
        ('{"b":1,"10":2,"9":3}', '{"9":3,"10":2,"b":1}'),
        ('{"a":1,"b":2,"a":3}', '{"a":3,"b":2}'),
        ('"\\u00e9\\/<>&\\u2028\\u007f\\u0001\\n"', '"é/<>&\u2028\x7f\\u0001\\n"'),
        ('"\\ud800"', '"\\ud800"'),
        ('["\\ud83d\\ude00", "\\udfff", 1.0]', '["😀","\\udfff",1]'),
        (
            '["\\ud800",{"a":null,"b":true,"7":5},9007199254740993,123456789012345678901,-9007199254740991]',
            '["\\ud800",{"7":5,"a":null,"b":true},"9007199254740993","123456789012345678901",-9007199254740991]',
        ),
        ("[9007199254740992.0, 1e16]", '["9007199254740992","10000000000000000"]'),
        ("9007199254740991", "9007199254740991"),
        ("9007199254740993", '"9007199254740993"'),
        ("-12345678901234567890123", '"-12345678901234567890123"'),
        ("12345.678901234567890123", '"12345.678901234567890123"'),
        ("1e400", '"1e400"'),
        ("1e21", "1e+21"),
        ("123e-20", "1.23e-18"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ('{"__proto__":1,"4294967294":2,"4294967295":3}', '{"4294967294":2,"__proto__":1,"4294967295":3}'),
    ],
)
def test_text_is_written_as_javascript_would(text: str, written: str) -> None:
    assert stable(text).decode() == written


def test_what_is_nested_too_deeply_is_refused_with_a_sentence() -> None:
    with pytest.raises(RenderError, match="nested too deeply"):
        stable("[" * 100_000 + "]" * 100_000)


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(RenderError, match="not JSON"):
        stable("{'a': 1}")


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, exclude_categories=()))
)
_keys = st.text(max_size=4) | st.integers(0, 2**33).map(str) | st.just("__proto__")
_documents = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4), max_leaves=12
)


@settings(max_examples=300)
@given(_documents)
def test_written_text_is_written_the_same_again(document: Any) -> None:
    once = stable(json.dumps(document))
    assert stable(once) == once


def test_thousands_of_documents_come_back_unchanged_from_node(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    assert _changed_by_node([stable(dumped(rng)) for _ in range(3000)], tmp_path) == [], f"seed {seed}"


def test_numbers_at_every_edge_are_printed_as_node_prints_them(tmp_path: Path) -> None:
    numbers = [sign * float(f"{digits}e{exponent}") for sign in (1, -1) for digits in ("1", "1.5", "9.999999999999999", "1.2345678901234567") for exponent in range(-30, 31)]  # fmt: skip
    numbers += [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1 + 0.2, 2.0**53, 1e21, 1e-6, 1e-7]
    assert _changed_by_node([number_text(number).encode() for number in numbers], tmp_path) == []


def _changed_by_node(texts: list[bytes], folder: Path) -> list[str]:
    """Return the texts that Node's JSON.stringify(JSON.parse(text)) changes."""
    (folder / "texts").write_bytes(b"\n".join(texts))
    script = (
        "const t = require('fs').readFileSync(process.argv[1], 'utf8').split('\\n');"
        "console.log(JSON.stringify(t.filter(x => JSON.stringify(JSON.parse(x)) !== x)))"
    )
    done = subprocess.run(["node", "-e", script, str(folder / "texts")], capture_output=True, check=True)
    return json.loads(done.stdout)


def test_changed_keys_compares_what_was_written_not_what_a_double_holds() -> None:
    old = '{"a":0.1,"b":12345678901234567891,"c":{"x":1},"gone":1}'
    new = '{"a":0.10000000000000000001,"b":12345678901234567892,"c":{"x":1},"new":null}'
    assert changed_keys(new, old) == ["a", "b", "new", "gone"]


def test_nothing_changed_is_an_empty_list() -> None:
    assert changed_keys('{"a":1}', '{"a":1}') == []


def test_columns_that_stayed_are_not_called_changed_when_one_has_half_a_character() -> None:
    assert changed_keys(r'{"a":"x","b":1.50}', r'{"a":"\ud800","b":1.50}') == ["a"]
    assert changed_keys(r'{"a":"\ud800","b":2}', r'{"a":"\ud800","b":1,"c":0}') == ["b", "c"]
