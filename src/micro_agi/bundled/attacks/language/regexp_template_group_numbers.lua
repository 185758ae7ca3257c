-- reason: groups beyond the pattern's own
-- run: tool
-- expect: value: "[][][]"
-- modules: text
return function() return assert(text.regexp.compile('a')):replace_all_string('a', '[$99999999999999999999][${4294967297}][$1]') end
