"""The demo's own SQL, from `sql/demo.sql`."""

from tidings.store.statements import load

SQL = load("demo", package="tidings.cli")
