"""How long tests wait, and what they may lack."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE = 120.0  # seconds until a wait is given up: a net for what hangs, never a measure of how fast a machine is


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process without a descriptor while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
