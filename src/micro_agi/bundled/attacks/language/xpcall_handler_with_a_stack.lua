-- reason: the handler of xpcall runs where the error is: nothing of trusted code is in reach
-- run: tool
-- expect: value: "false nil"
return function()
  local ok, got = xpcall(error, function(e) return debug end, "x")
  return tostring(ok) .. " " .. tostring(got)
end
