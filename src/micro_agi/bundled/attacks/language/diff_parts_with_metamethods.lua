-- reason: lists that a guest built must be read raw
-- run: tool
-- expect: value: {"equals": 0, "insertions": 1, "deletions": 0}
-- modules: text
return function() local trap = setmetatable({ operation = 'insert', text = 'x' }, { __index = error, __len = error }) return text.diff.new():summarize(setmetatable({ trap }, { __index = error, __len = error })) end
