-- reason: issue 4.10: code without the grant gets neither models nor agents
-- run: tool
-- expect: error: nil value
return function() return llm.generate("hello", { model = "class:fast" }) end
