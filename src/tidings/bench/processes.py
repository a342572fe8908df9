"""What processes have used, by what the system says of them."""

import os
from pathlib import Path

import msgspec


class Cpu(msgspec.Struct, frozen=True):
    """CPU time of a process and of those it started that have ended, in seconds; and who started it."""

    own: float
    ended_children: float
    parent: int


def cpu(pid: int) -> Cpu:
    """Return what a process has used; of one that has ended nothing: it counts with its parent's."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return Cpu(0, 0, 0)
    user, system, ended_user, ended_system = (int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in fields[11:15])
    return Cpu(user + system, ended_user + ended_system, int(fields[1]))


def tree_seconds(*pids: int) -> float:
    """Return the CPU time of processes with all that they have started, directly or not, in seconds."""
    children: dict[int, list[int]] = {}
    used: dict[int, Cpu] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            pid = int(name)
            used[pid] = cpu(pid)
            children.setdefault(used[pid].parent, []).append(pid)
    seconds, left = 0.0, [pid for pid in pids if pid in used]
    while left:
        pid = left.pop()
        seconds += used[pid].own + used[pid].ended_children
        left += children.get(pid, [])
    return seconds
