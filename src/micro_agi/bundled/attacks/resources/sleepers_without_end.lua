-- reason: timers of no length, so that the loop never gets to wait
-- run: tool
-- modules: time
-- limits: wall_s=1
-- expect: limit: computed for more than
return function()
  local tick = time.ticker(1)
  while true do
    tick:channel():receive()
    time.sleep(1)
  end
end
