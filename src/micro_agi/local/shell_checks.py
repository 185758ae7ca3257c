"""What is never meant well: checks that rules name, each on one command.

A check looks at words and where they point, not at letters: `rm -fr /`, `rm -r -f //` and
`rm --recursive /` are the same, and a file called `mkfs notes.txt` is none of it. Each
returns why it matches, or "".

Source: spec/local-agent.md 3.3 (what was missed and what was refused for nothing), 7.3.
"""

import fnmatch
import posixpath
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from micro_agi.local.credentials import credential_like
from micro_agi.local.shell_command import GAP, HOME, Simple, Word
from micro_agi.local.shell_unwrap import SHELLS

HARMLESS_DEVICES = frozenset({"null", "zero", "full", "random", "urandom", "tty"})
STREAMS = ("stdin", "stdout", "stderr", "fd")
MAKERS = frozenset(
    {
        *("mkfs", "mke2fs", "mkswap", "mkdosfs", "fdisk", "cfdisk", "sfdisk", "gdisk", "sgdisk"),
        *("parted", "wipefs", "blkdiscard", "hdparm", "badblocks", "cryptsetup", "pvcreate"),
    }
)
SYSTEM_SECRETS = frozenset(
    {*("/etc/passwd", "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/master.passwd")}
)
ONLY_WORDS = frozenset({"echo", "printf", "cd", "test", "[", "true", "false", ":", "export"})
"""Programs that do not open what their words name."""
PATTERN_FIRST = frozenset({"grep", "egrep", "fgrep", "rg", "ag", "sed", "awk", "gawk", "jq"})
"""Programs whose first word is what they look for, not a file."""
MESSAGES = frozenset({"-m", "--message", "-e", "--regexp", "--author", "--grep", "-S", "-G"})
"""Options whose word is text."""
LIKELY = (".env", ".env.local", "id_rsa", "id_ed25519", "server.pem", "server.key", ".netrc")
DOWNLOADS = frozenset({"curl", "wget", "fetch", "aria2c", "nc", "ncat", "netcat", "socat", "lynx"})
INTERPRETERS = SHELLS | {"python", "python3", "perl", "ruby", "node", "php", "lua", "source", "."}


class Room(Struct, frozen=True, kw_only=True):
    """What checks have to know of where commands run."""

    workspace: str
    """Absolute, as the shell sees it."""
    temporary: str = "/tmp"  # noqa: S108 - the room's own
    functions: Mapping[str, list[Simple]]
    """Defined by the command itself."""

    def holds(self, path: str) -> bool:
        """Whether a path is below the workspace or the temporary directory, and is neither."""
        return any(path.startswith(f"{place}/") for place in (self.workspace, self.temporary))


def recursive_deletion(simple: Simple, room: Room) -> str:
    """Match deletion of a tree outside the workspace, or of the whole workspace."""
    if simple.program in ("rm", "unlink", "shred"):
        return _removes(simple, room)
    if simple.program == "find":
        return _finds(simple, room)
    return ""


def _removes(simple: Simple, room: Room) -> str:
    words = [w for w in simple.arguments if not w.text.startswith("-") or w.text == "-"]
    options = [w.text for w in simple.arguments if w.text.startswith("-") and w.text != "-"]
    long = [o for o in options if o.startswith("--") and len(o) > 3]
    recursive = any("--recursive".startswith(o) for o in long) or any(
        "r" in o or "R" in o for o in options if not o.startswith("--")
    )
    if not recursive:
        return ""
    return _first(_tree(word, simple, room) for word in words)


def _finds(simple: Simple, room: Room) -> str:
    words = simple.arguments
    if not any(w.text in ("-delete", "-exec", "-execdir", "-ok", "-okdir") for w in words):
        return ""
    removing = any(w.text in ("-delete", "rm", "unlink", "shred") for w in words)
    if not removing:
        return ""
    places: list[Word] = []
    for word in words:
        if word.text.startswith(("-", "(", "!")):
            break
        places.append(word)
    selective = any(
        w.text.startswith(("-name", "-iname", "-path", "-regex", "-mtime", "-newer", "-empty"))
        for w in words
    )
    return _first(
        _outside(word, simple, room, whole=not selective) for word in places or [Word(".")]
    )


def _tree(word: Word, simple: Simple, room: Room) -> str:
    return _outside(word, simple, room, whole=True)


def _outside(word: Word, simple: Simple, room: Room, *, whole: bool) -> str:
    text = word.text
    if GAP in text and not text.startswith("/"):
        return ""  # not known: it is asked about
    path = simple.path(Word(text.split(GAP)[0])) if GAP in text else simple.path(word)
    if path is None:
        return ""
    # Of `build/*` everything below `build` goes; of `*`, everything there is.
    if word.glob and GAP not in text:
        path = _above_pattern(path)
    if path == HOME:
        return "it deletes the home directory"
    if path == room.workspace:
        return "it deletes everything in the workspace" if whole else ""
    if path == room.temporary or room.holds(path):
        return ""
    return f"it deletes {path}, which is outside the workspace"


def _above_pattern(path: str) -> str:
    """Return what a pattern empties: the directory above a name of stars alone."""
    head, _, name = path.rpartition("/")
    if any(c in head for c in "*?[{"):
        fixed = head.split("*")[0].split("?")[0].split("[")[0].split("{")[0]
        return posixpath.normpath(fixed.rpartition("/")[0] or "/")
    return (head or "/") if set(name) <= set("*?.") else path


def raw_device(simple: Simple, room: Room) -> str:
    """Match writing to, or reading from, a disk or another raw device."""
    words = [] if simple.program in ONLY_WORDS else list(simple.arguments)
    targets = [*words, *(r.target for r in simple.redirects)]
    for word in targets:
        text = word.text.partition("=")[2] if simple.program == "dd" else word.text
        path = simple.path(Word(text))
        if path is None or not path.startswith("/dev/"):
            continue
        name = path.removeprefix("/dev/")
        if name not in HARMLESS_DEVICES and name.partition("/")[0] not in (*STREAMS, "shm", "pts"):
            return f"it touches the device {path}"
    return ""


def make_filesystem(simple: Simple, room: Room) -> str:
    """Match programs that make or wipe file systems and partitions."""
    program = simple.program
    if program in MAKERS or program.startswith("mkfs."):
        return f"`{program}` makes or wipes a file system"
    return ""


def credential_file(simple: Simple, room: Room) -> str:
    """Match reading files that hold credentials."""
    for redirect in simple.redirects:
        if found := _credential(redirect.target, simple):
            return found
    if simple.program in ONLY_WORDS or not simple.words:
        return ""
    words, skip = list(simple.arguments), simple.program in PATTERN_FIRST
    text_next = False
    for word in words:
        if text_next:
            text_next = False
            continue
        if word.text in MESSAGES and simple.program != "docker":
            text_next = True
            skip = False
            continue
        if word.text.startswith("-"):
            # A file of patterns: then no pattern stands before the files.
            skip = skip and not word.text.startswith(("-f", "--file"))
        elif skip:
            skip = False
            continue
        for named in _named_by(word.text, simple.program):
            if found := _credential(Word(named, word.glob), simple):
                return found
    return ""


def _named_by(text: str, program: str) -> list[str]:
    """Return the files that a word may name: `x`, `--from=x`, `-fx`, `@x`, `if=x`."""
    named = [text]
    if text.startswith("--") or program == "dd":
        named = [text.partition("=")[2]]
    elif text.startswith("-"):
        named = [text[2:], text.partition("=")[2]]
    return [name.removeprefix("@") for name in named if name]


def _credential(word: Word, simple: Simple) -> str:
    path = simple.path(word)
    # Where it runs may be unknown; the name is not.
    parts = [part for part in (path or word.text).split("/") if part]
    if path in SYSTEM_SECRETS or (path and path.startswith("/proc/") and parts[-1] == "environ"):
        return f"{path} holds what is not the agent's business"
    if " " in word.text or not parts:
        return ""
    secret = credential_like([p.replace(GAP, "") for p in parts])
    if secret:
        return f"`{secret}` looks like a credential"
    if word.glob and any(c in parts[-1] for c in "*?["):
        pattern = parts[-1]
        for name in LIKELY:
            hidden = name.startswith(".") and not pattern.startswith(".")
            if not hidden and pattern.strip("*?") and fnmatch.fnmatchcase(name, pattern):
                return f"`{pattern}` may be `{name}`, which looks like a credential"
    return ""


def fork_bomb(simple: Simple, room: Room) -> str:
    """Match a function that calls itself, with nothing that ends it."""
    name = simple.program
    body = room.functions.get(name)
    if body is not None and sum(c.program == name for c in body):
        return f"`{name}` calls itself without end"
    return ""


def decoded_to_shell(simple: Simple, room: Room) -> str:
    """Match running what was downloaded or decoded, unseen."""
    program = simple.program
    versions = program.rstrip("0123456789.")
    if program not in INTERPRETERS | {"eval"} and versions not in INTERPRETERS:
        return ""
    for source in (*simple.before, *simple.inner):
        if source.program in DOWNLOADS:
            return f"it runs what `{source.program}` downloads"
        if _decodes(source):
            return f"it runs what `{source.program}` decodes"
    return ""


def _decodes(simple: Simple) -> bool:
    options = [w.text for w in simple.arguments if w.text.startswith("-")]
    match simple.program:
        case "base64" | "base32" | "basenc":
            return any("--decode".startswith(o) and len(o) > 3 for o in options) or any(
                not o.startswith("--") and ("d" in o or "D" in o) for o in options
            )
        case "xxd":
            return any("r" in o for o in options)
        case "openssl" | "gpg" | "uudecode":
            return True
        case "rev" | "tr" | "gunzip" | "zcat" | "xzcat" | "bzcat":
            return True
    return False


def writes_file(simple: Simple, room: Room) -> str:
    """Match a redirection into a file, which cannot be undone."""
    for redirect in simple.redirects:
        path = simple.path(redirect.target)
        if redirect.writes and (path is None or not _scratch(path, room)):
            return f"it writes {redirect.target.text.replace(GAP, '…')}"
    return ""


def _scratch(path: str, room: Room) -> bool:
    return path.startswith(("/dev/", f"{room.temporary}/"))


def _first(reasons: Iterable[str]) -> str:
    return next((reason for reason in reasons if reason), "")


Check = Callable[[Simple, Room], str]
CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        *(recursive_deletion, raw_device, make_filesystem, credential_file, fork_bomb),
        *(decoded_to_shell, writes_file),
    )
}
"""What `check` of a rule may name."""
