-- source: arguments are checked before Python sees them
-- expect: value: [true, true]
-- modules: hash
return function() return { hash.md5({}) == nil, hash.hmac_md5('x', {}) == nil } end
