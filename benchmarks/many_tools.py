"""What an agent with a thousand tools costs: to compile, to search, and at each step."""

import asyncio
import statistics
import time
from collections.abc import Callable

from benchmarks.client import more_schema
from benchmarks.compare import Size, interleaved, median
from benchmarks.server import Server
from benchmarks.step import per_step_ms
from benchmarks.table import Row, absolute, ratio
from micro_agi.messages import ToolSpec
from micro_agi.settings import Settings
from micro_agi.testing.transcript import scripted_runtime
from micro_agi.tools.finder import ToolFinder

TITLE = "many_tools: an agent with a thousand of them"


def rows(server: Server, size: Size) -> list[Row]:
    """Measure the compiler and the search alone, then whole turns."""
    compiled, found = asyncio.run(_alone(size))
    one = f"1-{size.steps}"
    plans = {
        "ours": (f"echo-{one}", "echo"),
        "searching": (f"echo-{one}", "echo"),
        "hand": (f"echo-{one}", "echo"),
    }
    budgets = {"searching": Settings().tool_budget}
    turns = interleaved(server, plans, size, more=size.tools, budgets=budgets)
    hand = median(turns["hand"], per_step_ms)
    return [
        absolute(f"compile {size.tools} tools, warm", compiled, "ms", goal=50),
        absolute(f"a search among {size.tools} tools", found, "ms"),
        ratio(
            f"a step with {size.tools} tools, all shown",
            median(turns["ours"], per_step_ms),
            hand,
            "ms",
            ahead=0.10,
            goal=0.02,
        ),
        ratio(
            f"a step with {size.tools} tools, with tool_search",
            median(turns["searching"], per_step_ms),
            hand,
            "ms",
            ahead=0.10,
            goal=0.02,
        ),
    ]


async def _alone(size: Size) -> tuple[float, float]:
    """Return the milliseconds of compiling and of searching, each warm."""
    async with scripted_runtime(["ok"], tool_budget=0) as played:
        runtime = played.runtime
        changes = runtime.registry.snapshot().changes()
        for number in range(size.tools):
            changes.create(_entry(number))
        await changes.apply(runtime.root())
        context = runtime.agent_context()
        agent = {"id": "bench", "model": "scripted", "tools": ["app.many:*"]}
        spent = []
        for _ in range(size.rounds + 1):
            start = time.process_time()
            compiled = await context.compiled(agent)
            spent.append(time.process_time() - start)
        return statistics.median(spent[1:]) * 1000, _search_ms(compiled.tools, size)


def _search_ms(tools: tuple[ToolSpec, ...], size: Size) -> float:
    finder = ToolFinder(tools)
    finder.find("what takes care of matter 7")
    return statistics.median(
        _ms(lambda number=n: finder.find(f"what takes care of matter {number}"))  # type: ignore[misc]
        for n in range(size.rounds)
    )


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _entry(number: int) -> dict[str, object]:
    return {
        "id": f"app.many:matter_{number}",
        "kind": "function.lua",
        "meta": {
            "type": "tool",
            "llm_description": f"Take care of matter {number}, in the way that it needs.",
            "input_schema": more_schema(number),
        },
        "data": {
            "source": "return {handler = function(args) return args.text end}",
            "method": "handler",
        },
    }
