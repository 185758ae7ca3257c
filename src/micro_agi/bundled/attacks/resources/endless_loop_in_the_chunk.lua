-- reason: before any function is called
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
while true do end
