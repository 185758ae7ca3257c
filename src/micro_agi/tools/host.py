"""Host modules that need the registry: `registry`, `security`, `funcs`.

Only the operator's entries can be granted them (`sandbox.modules`), so reading needs no
allow: what a policy denies is left out of listings and refused by name. Writing goes
through the registry's door with the context of the call in flight, whatever the Lua code
says about itself.

Plain JSON crosses: entries, versions, policies as maps. The Lua side makes objects of it.
"""
