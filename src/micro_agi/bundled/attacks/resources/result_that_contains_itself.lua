-- reason: an encoder that follows it never ends
-- run: tool
-- limits: wall_s=3
-- expect: error: nested too deeply
return function() local t = {} t.t = t return t end
