-- source: integers at the edge
-- expect: value: 9223372036854775807
-- modules: 
return function() return math.maxinteger end
