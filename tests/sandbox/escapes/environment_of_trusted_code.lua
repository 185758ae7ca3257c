-- source: setting _ENV reaches only one's own
-- expect: value: false
-- modules: 
return function() local _ENV = { p = 1 } return p ~= 1 end
