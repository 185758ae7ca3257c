-- reason: alternatives inside alternatives
-- run: tool
-- limits: wall_s=0.3
-- modules: json
-- expect: limit: 
return function()
  local schema = '{"type":"integer"}'
  for _ = 1, 14 do schema = '{"allOf":[' .. schema .. "," .. schema .. "]}" end
  for _ = 1, 200 do json.validate(json.decode(schema .. (" "):rep(_)), 1) end
end
