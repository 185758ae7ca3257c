-- reason: spec/sandbox.md 2.3, read-only libraries
-- run: tool
-- expect: error: read-only library
return function() string.rep = nil end
