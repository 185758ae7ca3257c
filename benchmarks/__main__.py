"""`python -m benchmarks [--tiny] [NAME …]`: run all scripts or some, print and save their rows."""

import argparse
import os
import platform

from benchmarks import (
    calls,
    chaos,
    commands,
    data,
    draft,
    first_token,
    many_tools,
    memory,
    parallel,
    registry,
    sandbox,
    sessions,
    start,
    step,
    tokens,
)
from benchmarks.compare import FULL, TINY
from benchmarks.server import running
from benchmarks.table import save, show

SCRIPTS = {
    "step": step,
    "first_token": first_token,
    "tokens": tokens,
    "many_tools": many_tools,
    "parallel": parallel,
    "start": start,
    "commands": commands,
    "draft": draft,
    "registry": registry,
    "sandbox": sandbox,
    "memory": memory,
    "data": data,
    "sessions": sessions,
    "calls": calls,
    "chaos": chaos,
}


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCRIPTS))
    parser.add_argument("--tiny", action="store_true", help="only see that the scripts work")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in SCRIPTS]
    if unknown:
        parser.error(f"there is no `{unknown[0]}`; there are: {', '.join(SCRIPTS)}")
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {load:.1f}\n")
    with running() as server:
        for name in given.names or SCRIPTS:
            rows = SCRIPTS[name].rows(server, TINY if given.tiny else FULL)
            print(show(SCRIPTS[name].TITLE, rows), flush=True)
            if not given.tiny:
                save(name, rows)


if __name__ == "__main__":
    main()
