-- reason: a small pattern whose automaton is huge
-- run: tool
-- expect: value: [true, "Invalid"]
-- modules: text
return function() local re, err = text.regexp.compile('(?i)((\\pL{30}){30})') return { re == nil, err and err:kind() } end
