-- source: lupa's default runtime, CVE-2026-34444
-- expect: value: false
-- modules: 
return function() return python ~= nil or _G.python ~= nil or package.loaded ~= nil end
