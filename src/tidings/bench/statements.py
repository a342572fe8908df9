"""The benchmarks' own SQL."""

from tidings.store.statements import load

SQL = load("bench", package="tidings.bench")
GROWTH = load("growth", package="tidings.bench")
YARDSTICK = load("yardstick", package="tidings.bench")
HISTORY = load("history", package="tidings.bench")
FLEET = load("fleet", package="tidings.bench")
