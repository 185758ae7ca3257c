-- reason: nested repetition stops a backtracking engine
-- run: tool
-- expect: value: false
-- modules: text
return function() return assert(text.regexp.compile('(a+)+$')):match_string(('a'):rep(20000) .. 'b') end
