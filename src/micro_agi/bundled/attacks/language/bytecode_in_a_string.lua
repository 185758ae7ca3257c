-- reason: a chunk that starts like a dump, called through every door that might compile
-- run: tool
-- expect: value: false
return function()
  local doors = { load, loadstring, dofile, string.dump }
  return next(doors) ~= nil
end
