-- reason: the decoder must count
-- run: tool
-- limits: wall_s=3
-- modules: json
-- expect: value: "stopped"
return function() local v, e = json.decode(("["):rep(1 << 20)) return e and "stopped" or "decoded" end
