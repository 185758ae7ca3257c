-- reason: an error thrown by a library is data: it carries nothing of its grants
-- run: tools app
-- expect: value: "string"
--@ unit lib modules=http_client
return { fail = function() error("plain") end }
--@ unit app modules=http_client imports=lib:lib
return function() local _, e = pcall(lib.fail) return type(e) end
