"""Units that need a library run in workers that have it; the others start without the wait."""

import pytest

from micro_agi.errors import ToolFailed
from micro_agi.sandbox.host.calls import HostFunction
from micro_agi.sandbox.unit import Unit
from tests.sandbox.test_pool import ROOT, run, workers

NEEDS = [
    ("text.regexp.compile('a+'):match_string('baa')", "text", True),
    ("#crypto.random.bytes(3)", "crypto", 3),
    ("json.validate({type = 'string'}, 'text')", "json", True),
    ("payload.new({1}):transcode(payload.format.YAML):data()", "json", "- 1\n"),
]
HIDDEN = """return function(told)
  if told then print("told") end
  local check = json["vali" .. "date"]
  return check({ type = "string" }, "text")
end"""


def lua(source, *modules):
    return Unit(id="test:libraries", source=source, method="handler", modules=modules)


def test_a_unit_that_needs_libraries_gets_a_worker_that_has_them():
    async def body(pool):
        for source, module, expected in NEEDS:
            unit = lua(f"return function() return {source} end", module)
            assert await pool.call(unit, [], context=ROOT) == expected
        assert not workers(pool), "none of them began in a worker without"
        library = Unit(id="test:lib", source="return { one = expr.eval('1') }", modules=("expr",))
        user = Unit(
            id="test:user",
            source="return function() return lib.one end",
            imports=(("lib", library),),
        )
        assert await pool.call(user, [], context=ROOT) == 1
        assert not workers(pool)

    run(body)


def test_code_that_hides_its_need_for_libraries_starts_again_where_they_are():
    async def body(pool):
        assert await pool.call(lua(HIDDEN, "json"), [False], context=ROOT) is True
        await pool.check(lua("return json['vali' .. 'date']({}, 1) and tostring", "json"))
        assert len(workers(pool)) == 1, "it began in a worker without"

    run(body)


def test_code_that_had_effects_does_not_start_again():
    async def body(pool):
        with pytest.raises(ToolFailed, match=r"seen in the source") as failed:
            await pool.call(lua(HIDDEN, "json"), [True], context=ROOT)
        assert "json.validate" in failed.value.fix
        caught = HIDDEN.replace(
            "return check(", "pcall(check, 1, 2) print('still here') return check("
        )
        with pytest.raises(ToolFailed, match=r"seen in the source"):
            await pool.call(lua(caught, "json"), [True], context=ROOT)

    told = []

    async def tell(call):
        told.append(call.args)

    say = HostFunction(run=tell, module="", outside=False)
    run(body, host={"print": say})
    assert told == [["told"], ["told"]]
