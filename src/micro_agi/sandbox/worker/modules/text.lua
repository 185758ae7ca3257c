-- Regular expressions, differences and splitting; each has a file of its own.
-- Source: spec/runtime.md 6.8.

local core = ...

return {
  regexp = core.freeze(core.regexp),
  diff = core.freeze(core.diff),
  splitter = core.freeze(core.splitter),
}
