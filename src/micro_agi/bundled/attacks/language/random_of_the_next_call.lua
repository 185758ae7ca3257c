-- reason: seed the generator for whoever comes next
-- run: tool
-- expect: value: true
return function()
  math.randomseed(1)
  local a = math.random(1 << 40)
  math.randomseed(1)
  return a == math.random(1 << 40)
end
