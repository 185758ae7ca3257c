-- reason: YAML loaders that build objects of the host's language
-- run: tool
-- expect: value: ["id"]
-- modules: yaml
return function() return (yaml.decode('!!python/object/apply:os.system [id]')) end
