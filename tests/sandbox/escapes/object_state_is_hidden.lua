-- source: objects are empty tables
-- expect: value: true
-- modules: time
return function() local t = time.now() return next(t) == nil and rawget(t, 'zone') == nil and not pcall(rawset, t, 'zone', 1) end
