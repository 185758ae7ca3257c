-- source: calling a method on something else
-- expect: error: time.Time expected
-- modules: time
return function() return time.now().format({ second = 1 }, 'x') end
