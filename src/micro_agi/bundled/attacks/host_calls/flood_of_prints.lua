-- reason: a log is a disk
-- run: tool
-- limits: wall_s=3 host_calls=300
-- expect: value: "printed"
return function() for n = 1, 5000 do print(n) end return "printed" end
