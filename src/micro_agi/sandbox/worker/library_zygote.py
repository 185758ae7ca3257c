"""Fork locked Lua workers that have every library: the program `python -I -S library_zygote.py …`.

The same as `zygote.py`, but for what is imported: the libraries behind `crypto`, `expr`, `text`,
`yaml` and `json.validate` take twice as long to load as all the rest, and half of a worker's
memory. Most tools need none of them, so they have a zygote of their own, which starts when
the first unit asks for one.

Arguments: those of `zygote.py`.
"""

import sys
from collections.abc import Callable, Mapping

# Only what the parent says is importable: `-I -S` gave us the standard library alone.
sys.path.extend(sys.argv[4:])

from micro_agi.sandbox.worker import lua, zygote
from micro_agi.sandbox.worker.pure import (
    crypto,
    difference,
    markdown,
    regexp,
    schema,
    splitter,
    yaml_events,
)
from micro_agi.sandbox.worker.pure.expr import program

ACCELERATORS: Mapping[str, Callable[..., bytes]] = {
    **crypto.ACCELERATORS,
    **difference.ACCELERATORS,
    **markdown.ACCELERATORS,
    **program.ACCELERATORS,
    **regexp.ACCELERATORS,
    **schema.ACCELERATORS,
    **splitter.ACCELERATORS,
    **yaml_events.ACCELERATORS,
}


def prepare(heap_bytes: int) -> zygote.Serve:
    """Build the Lua state with all modules; return the main loop."""
    program.learn_local()
    schema.warm()
    return lua.prepare(heap_bytes, ACCELERATORS)


if __name__ == "__main__":
    zygote.main(prepare)
