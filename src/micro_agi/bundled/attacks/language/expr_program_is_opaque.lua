-- reason: a program's source and kinds read or replaced behind the check
-- run: tool
-- expect: value: [false, false, "bad argument #1 to 'run' (expr.Program expected, got table)"]
-- modules: expr
return function()
  local program = expr.compile("1")
  local _, message = pcall(program.run, { source = "1", kinds = "" })
  return { (pcall(function() program.source = "2" end)), (pcall(next, program)) and next(program) ~= nil, (message:gsub("^.-: ", "", message:find("^%w+:%d+:") and 1 or 0)) }
end
