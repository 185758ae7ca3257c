-- source: poisoning the strings of trusted code
-- expect: error: attempt to
-- modules: 
return function() local s = "" s.rep = function() end end
