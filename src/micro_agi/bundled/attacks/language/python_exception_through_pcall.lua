-- reason: spec/sandbox.md 1.4: live exceptions reach frames
-- run: tool
-- modules: base64
-- expect: value: "string"
return function()
  local big = ("x"):rep(24 << 20)
  local ok, e = pcall(function() local a = base64.encode(big) return base64.encode(a .. a) end)
  return type(ok and "" or e)
end
