-- reason: deep nesting against the parser's stack
-- run: tool
-- expect: error: nested more than 128 levels
-- modules: yaml
return function() return assert(yaml.decode(('{a: '):rep(100000))) end
