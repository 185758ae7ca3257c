"""What belongs to one user is unseen by every other, whatever their agents try."""

import asyncio
import json
import random
from collections import defaultdict

import pytest

from micro_agi.errors import EntryNotFound, InputInvalid, PolicyDenied
from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished, ToolCreated
from micro_agi.registry.seen import seen_by
from micro_agi.security.tenancy import GENERATED, GRANTS, USERS, own
from micro_agi.testing.transcript import scripted_runtime

USERS_OF_THE_TEST = ("", "al", "alice", "alice2", "bob")
NAMES = ("clock", "page")
TURNS = 150
FAR = {"modules": ["http_client"], "hosts": ["http://example.com/*"]}


class Always:
    """A person who allows everything for ever."""

    name = "always"

    async def ask(self, question):
        """Say yes, for ever."""
        return "always"


def canary(user):
    return f"canary-of-{user or 'nobody'}-canary"


def source(user, name):
    if name == "page":
        return (
            'local http = require("http_client")\nreturn { handler = function()\n'
            f'  return "{canary(user)}" .. (http.get("http://example.com/{canary(user)}") or "")\n'
            "end }"
        )
    text = canary(user)
    return f'return {{ handler = function() return ("{text} "):rep(100) end }}'


def draft(user, name):
    more = FAR if name == "page" else {}
    return {"name": name, "description": canary(user), "source": source(user, name), **more}


def importing(entry_id):
    """A draft whose trial fails with what the imported code returns."""
    return {
        "name": "importing",
        "description": "Import",
        "source": 'local other = require("other")\n'
        "return { handler = function() return other.handler():sub(1, 60) end }",
        "imports": {"other": entry_id},
        "tests": [{"args": {}, "expect": "nothing"}],
    }


class Oracle:
    """Who made what: all that a user may know of the others is nothing."""

    def __init__(self):
        self.made = defaultdict(set)
        self.loaded = defaultdict(set)
        self.handles = {}
        self.changed = defaultdict(list)
        """Of each user, the files that were written and not taken back, in that order."""


def one_call(asked):
    """Make the call that the user's message is; what came back is for the test alone."""
    if asked.last.role == "tool":
        return "done"
    call = json.loads(asked.last.text)
    return Call(call["tool"], call["arguments"])


def an_operation(dice, oracle, user):
    """Choose what the user's model tries, and say whether it may succeed (None: either)."""
    other = dice.choice(USERS_OF_THE_TEST)
    name = dice.choice(NAMES)
    entry_id = f"{own(GENERATED, other)}:{name}"
    may = other == user and entry_id in oracle.made[user]
    match dice.choice(
        (
            *("create", "read", "read", "list", "load", "call", "import", "page", "grant"),
            *("write", "see", "climb", "undo"),
        )
    ):
        case "write":
            content = f"{canary(user)} {dice.random()}"
            return "write_file", {"path": f"{name}.txt", "content": content}, True
        case "see":
            path = f"{name}.txt"
            return "read_file", {"path": path}, path in oracle.changed[user]
        case "climb":
            above = dice.choice(("../", "../../workspaces/", "@current/", "/"))
            return "read_file", {"path": f"{above}{other}/{name}.txt"}, False
        case "undo":
            return "undo", {}, bool(oracle.changed[user])
        case "create":
            return "create_tool", draft(user, name), True
        case "import":
            return "create_tool", importing(f"{own(GENERATED, other)}:clock"), False
        case "read":
            return "registry_read", {"id": entry_id}, may
        case "grant":
            space = own(dice.choice((GRANTS, USERS)), other)
            return "registry_list", {"namespace": space}, None
        case "list":
            space = dice.choice(({"namespace": own(GENERATED, other)}, {"type": "tool"}, {}))
            return "registry_list", {"limit": 200, **space}, None
        case "load":
            return "load_tool", {"id": entry_id}, may
        case "page" if oracle.handles:
            owner, handle = dice.choice(sorted(oracle.handles.items()))
            may = owner == user and "read_result" in oracle.loaded[user]
            return "read_result", {"handle": handle}, may
        case _:
            return name, {}, name in oracle.loaded[user]
    raise AssertionError


async def undone(runtime, user):
    """Take back the user's newest change; False when there is none."""
    try:
        [said] = await runtime.undo(1, user=user)
    except EntryNotFound:
        return False
    assert said.startswith(("restored ", "removed ")), said
    return True


@pytest.mark.requirement("design/6/tenancy", "004/workspace/users")
@pytest.mark.parametrize("seed", [5])
def test_no_user_meets_anything_of_another_whatever_is_tried(tmp_path, seed):
    dice, oracle = random.Random(seed), Oracle()

    async def scenario():
        async with scripted_runtime(
            one_call, home=str(tmp_path), approver=Always(), result_bytes=1000
        ) as played:
            runtime = played.runtime
            sessions = {u: await runtime.session("s", user=u) for u in USERS_OF_THE_TEST}
            first = [(u, "create_tool", draft(u, "clock"), True) for u in USERS_OF_THE_TEST]
            first += [
                (u, "load_tool", {"id": f"local:{tool}"}, True)
                for u in USERS_OF_THE_TEST
                for tool in ("write_file", "read_file")
            ]
            for _ in range(TURNS):
                if first:
                    user, tool, arguments, may = first.pop()
                else:
                    user = dice.choice(USERS_OF_THE_TEST)
                    tool, arguments, may = an_operation(dice, oracle, user)
                if tool == "undo":
                    assert await undone(runtime, user) == may
                    if may:
                        oracle.changed[user].pop()
                    continue
                events = []
                text = json.dumps({"tool": tool, "arguments": arguments})
                before = len(played.model.requests)
                await sessions[user].run(text, events.append)
                [result] = [e for e in events if isinstance(e, ToolCallFinished)]
                if may is not None and tool != "page":
                    assert (result.error is None) is may, (user, tool, arguments, result)
                if arguments.get("imports") == {"other": f"{own(GENERATED, user)}:clock"}:
                    assert canary(user) in result.content, "code of one's own can be imported"
                for event in events:
                    if isinstance(event, ToolCreated):
                        assert event.tool.startswith(f"{own(GENERATED, user)}:")
                        oracle.made[user].add(event.tool)
                if tool == "write_file":
                    oracle.changed[user].append(arguments["path"])
                if result.error is None and tool == "load_tool":
                    oracle.loaded[user].add(arguments["id"].rpartition(":")[2])
                if "result_handle" in result.content and tool == "clock":
                    oracle.loaded[user].add("read_result")
                    handle = result.content.partition("result_handle ")[2][:16]
                    oracle.handles[user] = handle
                sent = [m for r in played.model.requests[before:] for m in r.messages]
                sent = "".join(f"{m.text}" for m in sent if m.role != "user")
                tools = str([(t.id, t.description) for t in played.model.requests[-1].tools])
                for stranger in USERS_OF_THE_TEST:
                    if stranger != user:
                        assert canary(stranger) not in sent + tools
                        assert f"{GRANTS}.{stranger}:" not in sent
            for user in USERS_OF_THE_TEST:
                seen = seen_by(runtime.registry, user)
                assert {e.id for e in seen.find({"meta.type": "tool"})} >= oracle.made[user]
                assert all(
                    e.id in oracle.made[user] for e in seen.snapshot() if ".generated" in e.id
                )

    asyncio.run(scenario())
    assert all(oracle.made[user] for user in USERS_OF_THE_TEST)
    assert oracle.handles
    assert sum(map(bool, oracle.changed.values())) > 1


@pytest.mark.requirement("design/6/tenancy")
def test_sessions_of_two_users_with_one_name_are_two(tmp_path):
    async def scenario():
        async with scripted_runtime(["for alice", "for bob"], home=str(tmp_path)) as played:
            runtime = played.runtime
            for user in ("alice", "bob"):
                session = await runtime.session("s", user=user)
                assert session.id == f"{user}/s"
                await session.run(f"I am {user}", lambda _: None)
            with pytest.raises(PolicyDenied, match="another user"):
                await runtime.session("bob/s", user="alice")
            again = await runtime.session("alice/s")
            await runtime.session("s2", user="alic")
            with pytest.raises(InputInvalid, match="no name of a user"):
                await runtime.session("s", user="Alice")
            everybody = {row.id for row in await runtime.journal.sessions()}
            return [m.text for m in again.conversation.messages], everybody

    messages, everybody = asyncio.run(scenario())
    assert (messages, everybody) == (["I am alice", "for alice"], {"alice/s", "bob/s"})

    async def listed():
        async with scripted_runtime([], home=str(tmp_path), user="alice") as played:
            journal = played.runtime.journal
            found = await journal.find("s")
            with pytest.raises(EntryNotFound):
                await journal.find("bob/s")
            with pytest.raises(PolicyDenied, match="works for `alice`"):
                await played.runtime.session("s", user="bob")
            return found.id, [row.id for row in await journal.sessions()]

    assert asyncio.run(listed()) == ("alice/s", ["alice/s"])


@pytest.mark.requirement("design/6/tenancy")
def test_a_person_who_works_for_one_user_meets_only_that_users_entries(tmp_path):
    async def scenario(user, work):
        async with scripted_runtime([], home=str(tmp_path), user=user) as played:
            return await work(played.runtime)

    async def make(runtime):
        user = runtime.settings.user
        await runtime.session("s")
        changes = runtime.registry.snapshot().changes()
        changes.create(
            {
                "id": f"{own(GENERATED, user)}:clock",
                "kind": "function.lua",
                "meta": {"type": "tool", "input_schema": {"type": "object"}},
                "data": {"source": source(user, "clock"), "method": "handler"},
            }
        )
        await changes.apply(runtime.root())
        await runtime.call("local:memory", {"operation": "add", "content": canary(user)})
        return await runtime.call(f"{own(GENERATED, user)}:clock", {})

    for user in ("alice", "bob"):
        assert canary(user) in asyncio.run(scenario(user, make))

    async def look(runtime):
        with pytest.raises(EntryNotFound):
            await runtime.call("app.generated.bob:clock", {})
        with pytest.raises(EntryNotFound):
            runtime.registry.get("app.users.bob:write_own_tools")
        kept = await runtime.call("local:memory", {"operation": "list"})
        assert [m["content"] for m in kept["memories"]] == [canary("alice")]
        changes = runtime.registry.snapshot().changes()
        changes.delete("app.generated.bob:clock")
        with pytest.raises(PolicyDenied, match="not this user"):
            await changes.apply(runtime.root())
        count = [p.id for p in runtime.registry.write_scope().policies if "users" in p.id]
        assert count == ["app.users.alice:write_own_tools"]
        history = runtime.registry.history
        assert history.of_entry("app.generated.bob:clock") == []
        seen = [o.entry_id for v in history.versions() for o in v.operations]
        version = await runtime.registry.rollback(None, to=0, context=runtime.root())
        assert [o.entry_id for o in version.operations] == ["app.generated.alice:clock"]
        return [i for i in seen if "bob" in i]

    assert asyncio.run(scenario("alice", look)) == []

    async def left(runtime):
        return [e.id for e in runtime.registry.find({"ns": "app.generated.bob"})]

    assert asyncio.run(scenario("", left)) == ["app.generated.bob:clock"]
