-- reason: a key or a value that writes lines of its own
-- run: tool
-- expect: value: {"a: 1\nb": "x\n  # c\nd: 2"}
-- modules: yaml
return function() return (yaml.decode((yaml.encode({ ['a: 1\nb'] = 'x\n  # c\nd: 2' })))) end
