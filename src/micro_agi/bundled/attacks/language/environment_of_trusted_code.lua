-- reason: setting _ENV reaches only one's own
-- run: tool
-- expect: value: false
return function() local _ENV = { p = 1 } return p ~= 1 end
