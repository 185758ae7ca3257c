-- reason: lupa's default runtime, CVE-2026-34444
-- run: tool
-- expect: value: false
return function() return python ~= nil or _G.python ~= nil or package.loaded ~= nil end
