-- reason: poisoning the strings of trusted code
-- run: tool
-- expect: error: attempt to
return function() local s = "" s.rep = function() end end
