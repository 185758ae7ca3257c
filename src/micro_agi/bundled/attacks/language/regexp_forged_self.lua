-- reason: a method called with a look-alike
-- run: tool
-- expect: error: text.Regexp expected, got table
-- modules: text
return function() return text.regexp.compile('a').find_string(setmetatable({ pattern = 'x', names = {} }, { __name = 'text.Regexp' }), 'x') end
