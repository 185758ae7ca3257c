-- reason: a cycle would never end
-- run: tool
-- expect: error: anchor 'a' value contains itself
-- modules: yaml
return function() return assert(yaml.decode('&a {b: {c: *a}}')) end
