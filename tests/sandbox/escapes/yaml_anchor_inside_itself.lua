-- source: a cycle would never end
-- expect: error: anchor 'a' value contains itself
-- modules: yaml
return function() return assert(yaml.decode('&a {b: {c: *a}}')) end
