-- reason: catastrophic for engines that backtrack
-- run: tool
-- limits: wall_s=3
-- modules: json
-- expect: value: "linear"
return function()
  json.validate_string('{"pattern":"^(a+)+$"}', '"' .. ("a"):rep(5000) .. '!"')
  return "linear"
end
