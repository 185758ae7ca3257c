"""Calls that start several calls that start several calls: bounded workers, and no deadlock."""

from tests.tools.app_bench import app_bench

TREE = """return function(depth, width)
  if depth == 0 then return 1 end
  local futures, leaves = {}, 0
  for n = 1, width do
    futures[n] = funcs.async("app:tree", depth - 1, width)
  end
  for n = 1, width do
    leaves = leaves + futures[n]:response():receive():data()
  end
  return leaves
end"""
ENTRY = {
    "id": "app:tree",
    "kind": "function.lua",
    "data": {"source": TREE, "method": "handler", "modules": ["funcs"]},
}


def test_a_tree_of_futures_wider_than_the_pool_comes_to_its_end():
    with app_bench([ENTRY]) as bench:
        # 4 places for more than one at a time, and 5 + 25 + 125 calls.
        found = bench.run("return (funcs.call('app:tree', 3, 5))", modules=("funcs",))
        assert found == 125
        # The places are free again.
        assert bench.run("return (funcs.call('app:tree', 2, 8))", modules=("funcs",)) == 64
