"""How long tests wait."""

PATIENCE = 120.0  # seconds until a wait is given up: a net for what hangs, never a measure of how fast a machine is
