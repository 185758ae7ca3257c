"""What a process and its descendants are and used: CPU and memory, read from /proc."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of whatever a descendant leaves behind when it ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def children(pid: int) -> set[int]:
    """Return the processes directly below `pid`, with those that nobody waited for yet."""
    parents = {int(p.name): _stat(p)[1] for p in Path("/proc").iterdir() if p.name.isdecimal()}
    return {child for child, parent in parents.items() if parent == str(pid)}


def command(pid: int) -> str:
    """Return the state and the command line of a process, to say which one it is."""
    folder = Path(f"/proc/{pid}")
    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return f"{pid} {_stat(folder)[0]} {words}"


def descendants(pid: int) -> list[int]:
    """Return the processes below `pid`, at any depth."""
    parents = {int(p.name): _stat(p)[1] for p in Path("/proc").iterdir() if p.name.isdecimal()}
    return list(_below(pid, parents))


def _below(pid: int, parents: dict[int, str]) -> Iterator[int]:
    for child in [c for c, parent in parents.items() if parent == str(pid)]:
        yield child
        yield from _below(child, parents)


def cpu_s(pid: int) -> float:
    """Return the CPU time of one process so far, in steps of a clock tick (10 ms)."""
    fields = _stat(Path(f"/proc/{pid}"))
    return (int(fields[11]) + int(fields[12])) / TICKS if len(fields) > 12 else 0.0


def threads_cpu_s(pid: int) -> float:
    """Return the CPU time so far of the threads that a process has now, to the microsecond."""
    spent = (p.read_text().split()[0] for p in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(int, spent)) / 1e9


def memory_mb(pid: int | str) -> tuple[float, float]:
    """Return resident and proportional memory: shared pages count whole, or by their share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
    return int(sizes["Rss"]) / 1000, int(sizes["Pss"]) / 1000


def _stat(folder: Path) -> list[str]:
    """Return the fields after the program's name: state, parent, …"""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["", ""]
