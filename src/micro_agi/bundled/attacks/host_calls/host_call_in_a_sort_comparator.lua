-- reason: host calls across C boundaries stay in order
-- run: tool
-- modules: time
-- expect: value: 3
return function() local t = { 3, 1, 2 } table.sort(t, function(a, b) time.load_location('Europe/Paris') return a < b end) return t[3] end
