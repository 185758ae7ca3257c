-- reason: a global of one call is not there for the next
-- run: tool
-- expect: value: "nil"
local before = type(kept)
return function()
  kept = { "secret" }
  _G.kept = kept
  return before
end
