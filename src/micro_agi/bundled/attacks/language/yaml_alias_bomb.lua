-- reason: a billion laughs
-- run: tool
-- expect: error: stands for more than 250000 values
-- modules: yaml
return function() local lines = { 'a0: &a0 [x, x, x, x, x, x, x, x, x]' } for n = 1, 9 do lines[n + 1] = ('a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d]'):format(n, n, n - 1, n - 1, n - 1, n - 1, n - 1) end return assert(yaml.decode(table.concat(lines, '\n'))) end
