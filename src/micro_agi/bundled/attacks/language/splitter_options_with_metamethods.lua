-- reason: options must be read raw
-- run: tool
-- expect: value: ["ab"]
-- modules: text
return function() return text.splitter.recursive(setmetatable({}, { __index = function() error('ran') end })):split_text('ab') end
