"""The benchmarks' own SQL, from `sql/bench.sql`."""

from tidings.store.statements import load

SQL = load("bench", package="tidings.bench")
