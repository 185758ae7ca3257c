-- reason: calling a method on something else
-- run: tool
-- modules: time
-- expect: error: time.Time expected
return function() return time.now().format({ second = 1 }, 'x') end
