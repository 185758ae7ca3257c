"""What others run a model's Python with, where it is installed: none is a dependency of ours."""

import importlib.util
from collections.abc import Awaitable, Callable

from benchmarks.echo import Times, timed

SQUARES = "s = 0\nfor i in range(1, n + 1):\n    s = s + i * i\ns"
FEW = 3
"""Repetitions in a round: they take a thousand times as long as ours."""
PATIENCE_S = 30.0


def peers_jobs() -> dict[str, Callable[[], Awaitable[Times]]]:
    """Return what to measure, by the peer's name."""
    jobs: dict[str, Callable[[], Awaitable[Times]]] = {}
    if importlib.util.find_spec("smolagents") is not None:
        jobs["smolagents"] = _smolagents
    if all(importlib.util.find_spec(name) for name in ("jupyter_client", "ipykernel")):
        jobs["jupyter"] = _jupyter
    return jobs


async def _smolagents() -> Times:
    """Add up ten thousand squares, in its interpreter within this process."""
    from smolagents.local_python_executor import LocalPythonExecutor

    executor = LocalPythonExecutor([])
    executor.send_tools({})
    executor.send_variables({"n": 10_000})
    return timed(lambda: executor(SQUARES), FEW)


async def _jupyter() -> Times:
    """Add two numbers in a kernel that is already there."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(startup_timeout=PATIENCE_S)
    try:

        def add() -> None:
            client.execute_interactive(
                "1 + 2", timeout=PATIENCE_S, output_hook=lambda message: None
            )

        add()
        return timed(add, FEW * 10)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
