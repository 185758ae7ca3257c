-- reason: libraries inside a library
-- run: tool
-- expect: value: [false, false, "function"]
-- modules: text
return function() return { (pcall(function() text.regexp.compile = print end)), (pcall(rawset, text.diff, 'new', print)), type(text.diff.new) } end
