-- reason: in the cleanup after an error
-- run: tool
-- limits: wall_s=0.3
-- expect: limit: computed for more than
return function()
  local x <close> = setmetatable({}, { __close = function() while true do end end })
  error("now clean up")
end
