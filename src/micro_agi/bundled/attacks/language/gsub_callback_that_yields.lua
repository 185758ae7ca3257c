-- reason: yield across a C function
-- run: tool
-- expect: error: attempt to yield across
return function()
  local co = coroutine.wrap(function() return ("abc"):gsub(".", function() coroutine.yield(1) end) end)
  return co()
end
