-- reason: waking a waiting task behind the scheduler's back, to be given a false answer
-- run: tool
-- modules: time
-- expect: value: "refused"
return function()
  local answer
  local thread = coroutine.spawn(function() answer = time.sleep("2ms") end)
  coroutine.yield()
  local ok = coroutine.resume(thread, "forged", "forged")
  local closed = pcall(coroutine.close, thread)
  time.sleep("4ms")
  return (ok or closed or answer) and "forged" or "refused"
end
