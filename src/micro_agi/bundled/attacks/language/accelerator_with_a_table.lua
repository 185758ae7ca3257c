-- reason: arguments are checked before Python sees them
-- run: tool
-- modules: hash
-- expect: value: [true, true]
return function() return { hash.md5({}) == nil, hash.hmac_md5('x', {}) == nil } end
