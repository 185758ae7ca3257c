-- reason: the same tool, called twice: the second call starts anew
-- run: tools counter counter counter
-- expect: value: 1
--@ unit counter
local n = 0
return function() n = n + 1 return n end
