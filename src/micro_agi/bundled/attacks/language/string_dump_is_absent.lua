-- reason: spec/sandbox.md 1.4
-- run: tool
-- expect: value: false
return function() return string.dump ~= nil or ("").dump ~= nil end
