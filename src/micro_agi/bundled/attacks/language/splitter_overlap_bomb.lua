-- reason: overlap multiplies a small text
-- run: tool
-- expect: error: more than 16777216 characters
-- modules: text
return function() return assert(assert(text.splitter.recursive({ chunk_size = 9000, chunk_overlap = 8999 })):split_text(('ab '):rep(9000))) end
