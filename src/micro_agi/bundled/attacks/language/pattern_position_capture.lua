-- reason: a malformed pattern reads behind its end
-- run: tool
-- expect: error: missing
return function() return ("x"):find("%f") end
