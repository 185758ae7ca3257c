from msgspec import Struct

"""Hold the limits of one call into the sandbox, each with its unit and its reason.

Source: spec/sandbox.md 6 "Defaults".
"""


class Limits(Struct, frozen=True, kw_only=True):
    """What one call may use. A pool has defaults; a call may bring its own."""

    wall_s: float = 5.0
    """Seconds of computing: the time that host calls take does not count."""
    total_s: float = 60.0
    """Seconds from start to end, host calls included."""
    memory_bytes: int = 64 << 20
    """Heap of the interpreter. A property of the pool: workers are made with it."""
    source_bytes: int = 16_000
    """Of one chunk, in UTF-8."""
    args_bytes: int = 256 << 10
    """Of the encoded arguments."""
    result_bytes: int = 256 << 10
    """Of the encoded result."""
    frame_bytes: int = 1 << 20
    """Of any message from a worker; a longer one costs the worker its life."""
    nesting: int = 64
    """Levels of lists and objects in any value that crosses."""
    host_calls: int = 1000
    """Host calls in one call, `print` included."""
    depth: int = 8
    """`funcs.call` inside `funcs.call`: how deep."""
    grace_s: float = 2.0
    """Seconds that Python code has to give up after it was interrupted."""
    workspace_bytes: int = 64 << 20
    """Of files in a Python worker's workspace. They live in memory. A property of the pool."""
    workspace_files: int = 1000


PYTHON = Limits(
    wall_s=30.0,
    total_s=120.0,
    memory_bytes=1 << 30,
    source_bytes=64_000,
    args_bytes=1 << 20,
    result_bytes=1 << 20,
    frame_bytes=2 << 20,
)
"""What a call of Python code may use, unless the pool or the call says otherwise."""
