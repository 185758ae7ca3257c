-- reason: 2^64 leaves out of 64 tables
-- run: tool
-- limits: wall_s=3
-- expect: limit: the result takes more
return function()
  local t = { 1 }
  for _ = 1, 63 do t = { t, t } end
  return t
end
