-- reason: closing or resuming the worker's own loop
-- run: tool
-- expect: value: "contained"
return function()
  local main = coroutine.running()
  pcall(coroutine.close, main)
  pcall(coroutine.resume, main)
  pcall(coroutine.yield, 1)
  return "contained"
end
