-- reason: objects are empty tables
-- run: tool
-- modules: time
-- expect: value: true
return function() local t = time.now() return next(t) == nil and rawget(t, 'zone') == nil and not pcall(rawset, t, 'zone', 1) end
