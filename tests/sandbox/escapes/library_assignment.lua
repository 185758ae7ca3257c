-- source: spec/sandbox.md 2.3, read-only libraries
-- expect: error: read-only library
-- modules: 
return function() string.rep = nil end
