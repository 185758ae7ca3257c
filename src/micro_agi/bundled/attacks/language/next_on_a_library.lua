-- reason: walk behind the front of a library
-- run: tool
-- expect: value: true
return function() return next(string) == nil and next(math) == nil and next(errors) == nil end
