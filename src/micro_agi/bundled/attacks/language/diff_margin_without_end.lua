-- reason: the patch splitter never ends when a margin fills its pattern
-- run: tool
-- expect: value: "Invalid"
-- modules: text
return function() return select(2, text.diff.new({ patch_margin = 16 })):kind() end
