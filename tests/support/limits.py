"""How long tests wait, and what they may lack."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 120.0  # seconds until a wait is given up: a net for what hangs, never a measure of how fast a machine is


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process without a descriptor while the block runs. Those it has go on working; one that is closed is gone too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
