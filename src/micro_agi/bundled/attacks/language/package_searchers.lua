-- reason: put a loader of one's own in front
-- run: tool
-- expect: error: read-only library
return function() package.searchers = { function() return function() end end } end
