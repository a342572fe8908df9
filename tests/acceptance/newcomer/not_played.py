"""Pages whose commands are not played, each with its reason. What is played is everything else."""

_PIECES = "Pieces of calls with `…` for ids of the reader's own; each call is held to by a test of its own."

NOT_PLAYED = {
    "docs/benchmarks.md": "Its commands measure for minutes; a test runs `tidings bench --quick`.",
    "docs/cli.md": "Its blocks show commands beside what they print; tests/integration/test_terminal.py drives them.",
    "docs/fleet.md": "Needs three nodes of NATS and several databases; tests/torture/test_fleet.py runs its commands on them.",
    "docs/operations.md": "It moves whole databases; tests/acceptance restores a dump taken under load (named on the page).",
    "docs/portal.md": _PIECES,
    "docs/production.md": "It changes the system (systemd, containers); tests/acceptance/test_deploy.py holds its files to their tools.",
    "docs/receiving.md": _PIECES,
    "docs/reference.md": _PIECES,
    "docs/roles.md": "Names roles of the reader's own; tests with real roles run `tidings grants` and what it prints.",
    "docs/sources.md": _PIECES,
}
