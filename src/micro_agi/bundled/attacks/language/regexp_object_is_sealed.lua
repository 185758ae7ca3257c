-- reason: the pattern behind an object must not change
-- run: tool
-- expect: value: [true, false, "a"]
-- modules: text
return function() local re = assert(text.regexp.compile('a')) return { next(re) == nil and rawget(re, 'pattern') == nil, (pcall(rawset, re, 'pattern', 'b')), re:string() } end
