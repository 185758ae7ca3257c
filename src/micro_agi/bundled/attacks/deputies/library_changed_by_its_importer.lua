-- reason: poison a shared library for the next tool
-- run: tools thief victim
-- expect: value: "clean"
--@ unit lib
return { say = function() return "clean" end }
--@ unit thief imports=lib:lib
return function() lib.say = function() return "poisoned" end end
--@ unit victim imports=lib:lib
return function() return lib.say() end
