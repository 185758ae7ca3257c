-- reason: load a shared library
-- run: tool
-- expect: value: "dynamic libraries are not available"
return function() local _, why = package.loadlib("/lib/x86_64-linux-gnu/libc.so.6", "system") return why end
