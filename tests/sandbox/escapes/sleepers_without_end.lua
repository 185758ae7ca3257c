-- source: timers of no length, so that the loop never gets to wait
-- expect: error: computed for more than
-- modules: time
return function()
  local tick = time.ticker(1)
  while true do
    tick:channel():receive()
    time.sleep(1)
  end
end
