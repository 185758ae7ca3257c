-- reason: an error in the handler of an error
-- run: tool
-- expect: value: false
return function() return (xpcall(error, function() error("again") end, "x")) end
