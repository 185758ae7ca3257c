-- Hear what the parent has to tell, without asking for each piece: while anybody listens, one
-- call of a host function is in flight, which answers `[[key, …], …]` when there is news.

local core = ...

local next = next
local tasks = core.tasks

local ask
function ask(state)
  if state.number or not next(state.ears) then return end
  state.number = core.start(state.name, function(items, problem)
    state.number = nil
    if problem then return end
    for n = 1, #items do
      local ear = state.ears[items[n][1]]
      if ear then ear(items[n]) end
    end
    ask(state)
  end)
end

-- Call `ear(item)` with every item of this key that the host function `name` answers.
function core.hear(name, key, ear)
  local all = tasks.listening or {}
  tasks.listening, tasks.used = all, true
  local state = all[name] or { name = name, ears = {} }
  all[name] = state
  state.ears[key] = ear
  ask(state)
end

function core.unhear(name, key)
  local state = tasks.listening and tasks.listening[name]
  if not state then return end
  state.ears[key] = nil
  if not next(state.ears) and state.number then
    core.drop(state.number)
    state.number = nil
    core.hurry()
  end
end
