-- reason: what a library was granted must not show in its importer
-- run: tools app
-- expect: error: nil value
--@ unit lib modules=llm
return { ask = function(text) return text end }
--@ unit app imports=lib:lib
return function() return llm.generate(lib.ask("hello"), {}) end
