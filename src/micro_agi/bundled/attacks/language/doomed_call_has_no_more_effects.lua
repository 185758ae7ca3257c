-- reason: catching the error of a coroutine and going on with host calls
-- run: tool
-- modules: time
-- expect: error: doomed
return function()
  coroutine.spawn(function() error("doomed", 0) end)
  pcall(coroutine.yield)
  local ok = pcall(time.load_location, "Europe/Paris")
  return ok and "went on" or nil
end
