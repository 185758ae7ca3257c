"""The pool: who shares a worker, how many there are, and what is left when it closes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import micro_agi
from micro_agi.errors import LimitReached, SandboxUnavailable, ToolFailed
from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.limits import Limits
from micro_agi.sandbox.pool import Pool
from micro_agi.sandbox.unit import Unit
from micro_agi.security.context import Trial, root_context

ROOT = root_context()
ECHO = Unit(id="test:echo", source="return function(x) return x end", method="handler")


def run(test, **options):
    async def body():
        pool = Pool(
            host=options.pop("host", {}),
            limits=options.pop("limits", Limits(wall_s=1.0)),
            **options,
        )
        try:
            await pool.start()
            await asyncio.wait_for(test(pool), 30)
        finally:
            await pool.close()

    asyncio.run(body())


def workers(pool):
    return [*pool._idle, *pool._busy]


def test_64_concurrent_calls_share_4_workers():
    async def test(pool):
        found = await asyncio.gather(*(pool.call(ECHO, [n], context=ROOT) for n in range(64)))
        assert found == list(range(64))
        assert len(workers(pool)) <= 4

    run(test, workers=4)


def test_50_sessions_on_4_workers_all_get_their_turn():
    async def test(pool):
        contexts = [ROOT.narrowed(session=f"s{n}") for n in range(50)]
        calls = (pool.call(ECHO, [c.session], context=c) for c in contexts)
        assert await asyncio.gather(*calls) == [c.session for c in contexts]
        assert len(workers(pool)) <= 4

    run(test, workers=4)


def test_a_worker_serves_one_session_and_privileged_code_has_its_own():
    async def test(pool):
        a, b = ROOT.narrowed(session="a"), ROOT.narrowed(session="b")
        await pool.call(ECHO, [1], context=a)
        (first,) = workers(pool)
        await pool.call(ECHO, [1], context=a)
        assert workers(pool) == [first]
        await pool.call(ECHO, [1], context=b)
        trusted = Unit(id="test:t", source="return function() end", modules=("registry",))
        await pool.call(trusted, [], context=a)
        assert len({w.tenant for w in workers(pool)}) == len(workers(pool)) == 3

    run(test)


def test_calls_within_calls_do_not_deadlock_a_full_pool():
    async def call(host_call):
        context = host_call.context.narrowed(depth=host_call.context.depth + 1)
        return await pools[0].call(nested, host_call.args[2:], context=context)

    pools = []
    nested = Unit(
        id="test:nested",
        source="""return function(n)
          if n == 0 then return 0 end
          local below, err = funcs.call("test:nested", n - 1)
          if err then return nil, err end
          return below + 1
        end""",
        modules=("funcs",),
    )

    async def test(pool):
        pools.append(pool)
        calls = (pool.call(nested, [8], context=ROOT) for _ in range(4))
        assert await asyncio.gather(*calls) == [8] * 4
        with pytest.raises(ToolFailed, match="9 deep"):
            await pool.call(nested, [9], context=ROOT)
        assert len(workers(pool)) <= 2

    run(test, workers=2, host={"funcs.call": HostFunction(run=call, module="funcs", outside=False)})


def test_a_cancelled_call_costs_its_worker_and_nothing_else():
    async def test(pool):
        spin = Unit(id="test:spin", source="return function() while true do end end")
        task = asyncio.create_task(pool.call(spin, [], context=ROOT))
        while not pool._busy:
            await asyncio.sleep(0)
        (worker,) = pool._busy
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert worker.lost
        assert not workers(pool)
        assert await pool.call(ECHO, ["next"], context=ROOT) == "next"

    run(test)


def waiting_host(wait):
    return {"funcs.call": HostFunction(run=wait, module="funcs", outside=False)}


WAIT = Unit(
    id="test:wait", source="return function() return funcs.call('a:b') end", modules=("funcs",)
)
AT_ONCE = Limits(wall_s=5.0, total_s=0.2)


async def for_ever(call):
    await asyncio.Event().wait()


async def for_ever_and_deaf(call):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "late"


@pytest.mark.parametrize("wait", [for_ever, for_ever_and_deaf])
def test_a_host_function_is_ended_at_the_total_limit_and_the_task_goes_on(wait):
    async def test(pool):
        with pytest.raises(LimitReached, match=r"more than 0\.2 s"):
            await pool.call(WAIT, [], context=ROOT, limits=AT_ONCE)
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)
        assert await pool.call(ECHO, ["next"], context=ROOT) == "next"

    run(test, host=waiting_host(wait))


def test_the_total_limit_of_an_outer_call_ends_the_inner_one_with_it():
    inner_workers = []

    async def nested(call):
        if call.context.depth == 1:
            inner_workers.extend(pools[0]._busy)
            return await for_ever(call)
        context = call.context.narrowed(depth=call.context.depth + 1)
        return await pools[0].call(WAIT, [], context=context)

    pools = []

    async def test(pool):
        pools.append(pool)
        with pytest.raises(LimitReached, match=r"more than 0\.2 s"):
            await pool.call(WAIT, [], context=ROOT, limits=AT_ONCE)
        assert asyncio.current_task().cancelling() == 0
        assert len(inner_workers) == 2
        assert all(worker.lost for worker in inner_workers)

    run(test, host=waiting_host(nested))


def test_a_call_cancelled_in_a_host_function_is_cancelled_and_no_limit():
    async def test(pool):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pool.call(WAIT, [], context=ROOT)
        assert not workers(pool)

    run(test, host=waiting_host(for_ever))


def test_a_dead_zygote_is_replaced():
    async def test(pool):
        await pool.call(ECHO, [1], context=ROOT)
        pool._server._process.kill()
        await asyncio.to_thread(pool._server._process.wait)
        assert await pool.call(ECHO, [2], context=ROOT) == 2
        assert pool.report().level == "A" or pool.report().missing

    run(test)


def test_a_call_in_flight_starts_again_when_the_zygote_is_killed():
    async def test(pool):
        # Endless until the zygote is gone, so that the kill is sure to hit it in flight.
        source = (
            "return function() if os.time() < 1e11 then while true do end end return 'again' end"
        )
        spin = Unit(id="test:spin", source=source)
        task = asyncio.create_task(pool.call(spin, [], context=ROOT))
        while not pool._busy:
            await asyncio.sleep(0)
        first = pool._server
        (worker,) = pool._busy
        first._process.kill()
        with pytest.raises(LimitReached, match="computed for more than"):
            await task
        assert worker.lost == "ended"
        assert pool._server is not first

    run(test, limits=Limits(wall_s=0.5))


def members(session):
    """Process ids in a session of the kernel: the zygote's is its own."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                facts = (process / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # A killed process that nobody has reaped yet runs nothing any more.
            if int(facts[3]) == session and facts[0] != "Z":
                found.append(process.name)
    return found


@pytest.mark.parametrize("without", [frozenset(), frozenset({"namespaces"})])
def test_close_leaves_no_process_and_no_file_behind(without):
    zygotes = []

    async def test(pool):
        await asyncio.gather(*(pool.call(ECHO, [n], context=ROOT) for n in range(8)))
        zygotes.append(pool._server._process.pid)
        assert len(members(zygotes[-1])) > 2

    run(test, without=without)
    before = set(os.listdir("/proc/self/fd"))
    run(test, workers=4, without=without)
    assert set(os.listdir("/proc/self/fd")) == before
    deadline = time.monotonic() + 5
    while any(members(zygote) for zygote in zygotes):
        assert time.monotonic() < deadline


def test_a_closed_pool_refuses():
    async def body():
        pool = Pool(host={})
        await pool.start()
        await pool.close()
        with pytest.raises(SandboxUnavailable, match="closed"):
            await pool.call(ECHO, [], context=ROOT)

    asyncio.run(body())


LEVELS = [
    (frozenset(), {"A", "B", "C", "D"}),
    (frozenset({"namespaces"}), {"B", "D"}),
    (frozenset({"landlock"}), {"C", "D"}),
    (frozenset({"namespaces", "landlock"}), {"D"}),
]


@pytest.mark.parametrize(("without", "levels"), LEVELS)
def test_every_level_runs_lua_and_names_what_is_missing(without, levels):
    async def test(pool):
        assert await pool.call(ECHO, ["ok"], context=ROOT) == "ok"
        report = pool.report()
        assert report.level in levels
        assert pool.level == report.level
        for name in without:
            assert any(line.startswith(f"{name}: left out") for line in report.missing)

    run(test, without=without)


def test_without_the_call_filter_nothing_runs():
    async def body():
        pool = Pool(host={}, without=frozenset({"seccomp"}))
        try:
            with pytest.raises(SandboxUnavailable, match="cannot confine code"):
                await pool.call(ECHO, [], context=ROOT)
        finally:
            await pool.close()

    asyncio.run(body())


def test_a_level_below_the_minimum_is_refused():
    async def body():
        pool = Pool(host={}, minimum="A", without=frozenset({"namespaces"}))
        try:
            with pytest.raises(SandboxUnavailable, match="A is asked for") as refused:
                await pool.start()
            assert "namespaces" in refused.value.where
        finally:
            await pool.close()

    asyncio.run(body())


def test_the_child_has_an_empty_environment_and_nothing_of_ours_but_the_worker():
    source = Path(micro_agi.__file__).parent.parent
    import lupa

    site = Path(lupa.__file__).parent.parent
    program = f"import sys; sys.path += [{str(source)!r}, {str(site)!r}]\n" + (
        "import micro_agi.sandbox.worker.lua, micro_agi.sandbox.worker.zygote\n"
        "print([m for m in sys.modules if m.startswith('micro_agi')])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program, "0", "0", ""],
        capture_output=True,
        check=True,
    )
    ours = {m for m in eval(done.stdout) if m.count(".") > 1}
    assert ours
    shared = ("micro_agi.sandbox.mailbox", "micro_agi.sandbox.wire")
    assert all(m.startswith(("micro_agi.sandbox.worker", *shared)) for m in ours)


def test_the_zygote_sees_no_variable_of_its_parent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "canary")

    async def test(pool):
        # Not dumpable: only root may look, and it finds nothing.
        try:
            environment = Path(f"/proc/{pool._server._process.pid}/environ").read_bytes()
        except PermissionError:
            return
        assert environment == b""

    run(test)


def grant_table():
    async def say(call):
        return call.function

    return {
        "http_client.get": HostFunction(run=say, module="http_client", outside=True),
        "registry.get": HostFunction(run=say, module="registry", outside=False),
    }


def test_a_trial_answers_from_the_can_or_not_at_all():
    unit = Unit(
        id="test:http",
        source="""return function()
          local r, e = http_client.get("http://x/")
          return { r and r.status_code or tostring(e), e and e:kind() }
        end""",
        modules=("http_client",),
    )

    async def test(pool):
        async def tried(host):
            return await pool.call(unit, [], context=ROOT.narrowed(trial=Trial(host=host)))

        assert await tried({"http_client.get": {"status_code": 418}}) == [418]
        assert await tried({"http_client.get": {"error": "down", "kind": "Timeout"}}) == [
            "down",
            "Timeout",
        ]
        assert await tried({}) == ["`http_client.get` is not available in a trial", "Unavailable"]

    run(test, host=grant_table())


def test_a_signal_to_the_agents_terminal_does_not_reach_the_zygote():
    async def test(pool):
        assert os.getsid(pool._server._process.pid) != os.getsid(0)
        assert signal.getsignal(signal.SIGINT) is not None

    run(test)
