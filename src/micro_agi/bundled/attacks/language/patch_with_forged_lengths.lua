-- reason: a patch's header is not to be believed
-- run: tool
-- expect: value: ["b", true]
-- modules: text
return function() local d = text.diff.new({ patch_margin = 15 }) return { d:patch_apply({ { text = '@@ -1,999999999 +1,1 @@\n-' .. ('a'):rep(1000) .. '\n+b\n' } }, ('a'):rep(1000)) } end
