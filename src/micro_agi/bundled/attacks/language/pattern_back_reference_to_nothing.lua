-- reason: a capture that is not closed yet
-- run: tool
-- expect: error: invalid capture index
return function() return ("xx"):find("(x%1)") end
