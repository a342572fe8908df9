"""JSON documents at random, thousands in a second. (Hypothesis makes a hundred; it is for what has to be shrunk.)"""

import json
import random
import struct
from typing import Any

MAX_LEAVES = 12  # of a document, or hardly more
ESCAPES = (
    r"\ud800", r"\udfff", r"\ud83d\ude00", r"\u2028", r"\u0000", r"\/", r"\u00e9", r"\b", r"\u001f", "<>&", "\u2029", "\x7f", "é",
)  # fmt: skip
KEYS = ('"__proto__"', '"01"', '"-1"', '"4294967294"', '"4294967295"', '""')
CHARACTERS = ((0, 0x7F), (0x80, 0x2FFF), (0xD800, 0xDFFF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF))


def written(rng: random.Random) -> str:
    """Return a document as somebody may have written it: spaces, escapes, numbers in every spelling, names that come twice."""
    return _written(rng, rng.randrange(1, MAX_LEAVES))


def _written(rng: random.Random, leaves: int) -> str:
    if leaves == 1:
        return rng.choice((_number, _string, lambda rng: rng.choice(("true", "false", "null"))))(rng)
    parts = [_written(rng, share) for share in _shares(rng, leaves)]
    if rng.random() < 0.5:
        return "[ " + " , ".join(parts) + " ]"
    return "{" + ",\n".join(f"{_key(rng)} : {part}" for part in parts) + "}"


def _shares(rng: random.Random, leaves: int) -> list[int]:
    """Share leaves out to up to five members, none at all now and then."""
    shares: list[int] = []
    while leaves > 0 and rng.random() < 0.95 and len(shares) < 5:
        shares.append(rng.randint(1, leaves if len(shares) == 4 else max(1, leaves - 1)))
        leaves -= shares[-1]
    return shares


def _number(rng: random.Random) -> str:
    def digits() -> str:
        return "".join(rng.choices("0123456789", k=rng.randint(1, rng.choice((2, 25)))))

    fraction = rng.choice(("", f".{digits()}"))
    exponent = rng.choice(("", f"{rng.choice('eE')}{rng.choice(('', '+', '-'))}{rng.randint(0, rng.choice((9, 30, 330)))}"))
    return rng.choice(("", "-")) + (digits().lstrip("0") or "0") + fraction + exponent


def _string(rng: random.Random) -> str:
    parts = (rng.choice((rng.choice(ESCAPES), "".join(rng.choices("abc {}[]", k=3)))) for _ in range(rng.randint(0, 4)))
    return '"' + "".join(parts) + '"'


def _key(rng: random.Random) -> str:
    return rng.choice((rng.choice(KEYS), f'"{rng.randrange(100)}"', _string(rng)))


def dumped(rng: random.Random) -> str:
    """Return a document as Python writes it: doubles of every size, integers of every length, every character there is."""
    return json.dumps(_value(rng, rng.randrange(1, MAX_LEAVES)))


def _value(rng: random.Random, leaves: int) -> Any:
    if leaves == 1:
        return rng.choice((_double, _integer, _text, lambda rng: rng.choice((None, True, False))))(rng)
    values = [_value(rng, share) for share in _shares(rng, leaves)]
    if rng.random() < 0.5:
        return values
    return {rng.choice((_text(rng), str(rng.randrange(2**33)), "__proto__")): value for value in values}


def _double(rng: random.Random) -> float:
    double: float = struct.unpack("<d", rng.randbytes(8))[0]
    return double if abs(double) < float("inf") else rng.uniform(-1e6, 1e6)


def _integer(rng: random.Random) -> int:
    return rng.choice((1, -1)) * rng.getrandbits(rng.randint(1, 70))


def _text(rng: random.Random) -> str:
    return "".join(chr(rng.randint(*rng.choice(CHARACTERS))) for _ in range(rng.randint(0, 6)))
