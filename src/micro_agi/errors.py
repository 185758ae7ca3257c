"""Every error this package raises on purpose.

    MicroAgiError
    ├── InputInvalid           what a person gave is wrong: an argument, a file, a setting
    │   ├── EntryInvalid       an entry is wrong; `where` is the place inside it
    │   └── SettingInvalid     a flag, variable or configuration value is wrong
    ├── EntryNotFound          no such id; `fix` lists the nearest ones
    ├── EntryConflict          it exists already, or somebody changed it in between
    ├── PolicyDenied           a rule said no; asking again will not change the answer
    │   └── PathRefused        file tools do not touch that path, whoever asks
    ├── DraftRefused           the gate refused a draft tool; the model can repair it
    ├── ArgumentsInvalid       a call's arguments do not fit the tool's schema
    ├── ToolFailed             sandboxed code failed; the model sees this and may repair it
    │   ├── ToolInterrupted    the program ended while it ran; its outcome is unknown
    │   └── LimitReached       it ran out of time, memory, output or host calls
    ├── SandboxUnavailable     this machine cannot confine code the way policy asks
    ├── StoreFailed            the state database cannot be read or written
    ├── OutputInvalid          a model answered, but not what it was asked for
    ├── ProviderRefused        the model service said no: key, quota, content, request
    └── ProviderUnavailable    the model service did not answer; waiting may help

Anything else that escapes is our bug, and the terminal shows its traceback.
"""

from typing import ClassVar


class MicroAgiError(Exception):
    """What went wrong, where, and what to do about it.

    One set of facts for three readers: a person (`str`), a model or an HTTP client
    (`as_dict`), and a caller (the class). Subclasses add no constructor, so a worker
    can send one as JSON and the parent rebuilds it with `from_dict`.
    """

    code: ClassVar[str] = "error"
    """Stable across releases; listed in docs/errors.md, which a test compares."""
    kind: ClassVar[str] = "Internal"
    """What Lua's `err:kind()` says: one of the constants of spec/runtime.md 4.4."""
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    """Of the command line: 0 done, 1 failed, 2 bad input, 3 refused, 4 a limit, 70 our bug."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        details = {"where": self.where, "fix": self.fix}
        return "\n".join([self.what, *(f"  {k}: {v}" for k, v in details.items() if v)])

    def as_dict(self) -> dict[str, str | bool]:
        """Return the facts for a model or a wire: `code`, `what`, `where`, `fix`, `retryable`."""
        facts = {"code": self.code, "what": self.what, "where": self.where, "fix": self.fix}
        return facts | {"retryable": self.retryable}


class InputInvalid(MicroAgiError):
    """What a person or an embedder gave is wrong."""

    code = "input.invalid"
    kind = "Invalid"
    exit_code = 2


class EntryInvalid(InputInvalid):
    """An entry or a change to one is wrong; `where` is the path inside it."""

    code = "entry.invalid"


class SettingInvalid(InputInvalid):
    """A flag, an environment variable or a configuration value is wrong."""

    code = "setting.invalid"


class EntryNotFound(MicroAgiError):
    """No entry, version, session, page or file has that name; `fix` lists the nearest ones."""

    code = "entry.not_found"
    kind = "NotFound"
    exit_code = 2


class EntryConflict(MicroAgiError):
    """The entry exists already, or its revision is not the expected one."""

    code = "entry.conflict"
    kind = "Conflict"


class PolicyDenied(MicroAgiError):
    """A policy denies it, or none allows it."""

    code = "policy.denied"
    kind = "PermissionDenied"
    exit_code = 3


class PathRefused(PolicyDenied):
    """The path leads out of the workspace, through a link, or to what is no ordinary file."""

    code = "path.refused"


class DraftRefused(MicroAgiError):
    """The gate refused a draft tool at one of its steps; `where` names the step and the place."""

    code = "draft.refused"
    kind = "Invalid"


class ArgumentsInvalid(MicroAgiError):
    """A call's arguments are not JSON or violate the tool's schema; every violation is listed."""

    code = "arguments.invalid"
    kind = "Invalid"
    exit_code = 2


class ToolFailed(MicroAgiError):
    """Code of a tool raised or returned an error."""

    code = "tool.failed"


class ToolInterrupted(ToolFailed):
    """The program ended while it ran; what it did by then is unknown."""

    code = "tool.interrupted"


class LimitReached(ToolFailed):
    """It ran out of time, memory, output, host calls, steps or money."""

    code = "limit.reached"
    kind = "Timeout"
    exit_code = 4


class SandboxUnavailable(MicroAgiError):
    """The kernel offers too little to confine code, or a worker could not be started."""

    code = "sandbox.unavailable"
    kind = "Unavailable"


class StoreFailed(MicroAgiError):
    """The state database is full, damaged, of a newer version, or held by somebody else."""

    code = "store.failed"
    kind = "Unavailable"


class OutputInvalid(MicroAgiError):
    """A model answered, and the answer does not fit the schema, or is empty."""

    code = "output.invalid"
    kind = "Invalid"
    retryable = True


class ProviderRefused(MicroAgiError):
    """The model service said no: key, quota, content, length or request."""

    code = "provider.refused"
    kind = "PermissionDenied"


class ProviderUnavailable(MicroAgiError):
    """The model service did not answer, or not to the end."""

    code = "provider.unavailable"
    kind = "Unavailable"
    retryable = True
