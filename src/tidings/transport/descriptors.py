"""The descriptors this process may have open."""

import resource

_ENOUGH = 1_048_576  # more is never used, and some systems refuse a limit beyond their own


def raise_descriptors() -> int:
    """Raise the process's limit of descriptors as far as it may go by itself, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    for limit in (wanted, 65_536, 10_240):  # where the system has a bound below what it says (macOS)
        if soft < limit <= wanted:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            except (OSError, ValueError):
                continue
            return limit
    return soft


def descriptor_limit() -> int:
    """Return how many descriptors this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if soft == resource.RLIM_INFINITY else min(soft, _ENOUGH)
