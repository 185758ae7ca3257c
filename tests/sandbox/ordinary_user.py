"""Run a program as an ordinary user, from tests that run as root.

The interpreter may live in a folder of root's, where nobody else may look. Then the program
runs in a mount namespace of its own, in which such a folder holds nothing but what the
interpreter needs. Nothing of this is visible outside.
"""

import subprocess
import sys
from pathlib import Path

import micro_agi

SRC = Path(micro_agi.__file__).parent.parent
CANNOT = 77
"""Exit code of a program that could not become an ordinary user; it says why."""
USER = 54321

LAUNCHER = """
import ctypes, os, sys, tempfile
needed, program = sys.argv[1].split(":"), sys.argv[4]
user, cannot = int(sys.argv[2]), int(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)
BIND, PRIVATE = 4096 | 16384, 16384 | (1 << 18)

def checked(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        print(f"{name}: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        sys.exit(cannot)

def closed_folder(path):
    parts = path.split("/")
    for n in range(2, len(parts)):
        folder = "/".join(parts[:n])
        if not os.stat(folder).st_mode & 1:
            return folder
    return ""

closed = {path: closed_folder(path) for path in needed}
if any(closed.values()):
    checked("unshare", 0x20000)
    checked("mount", None, b"/", None, PRIVATE, None)
    aside = tempfile.mkdtemp()
    os.chmod(aside, 0o755)
    checked("mount", b"none", aside.encode(), b"tmpfs", 0, b"mode=0755")
    hidden = [path for path in needed if closed[path]]
    for n, path in enumerate(hidden):
        os.mkdir(f"{aside}/{n}")
        checked("mount", path.encode(), f"{aside}/{n}".encode(), None, BIND, None)
    for folder in {closed[path] for path in hidden}:
        checked("mount", b"none", folder.encode(), b"tmpfs", 0, b"mode=0755")
    for n, path in enumerate(hidden):
        os.makedirs(path, exist_ok=True)
        checked("mount", f"{aside}/{n}".encode(), path.encode(), None, BIND, None)
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
os.chdir("/")
try:
    os.environ["HOME"] = "/nowhere"
    os.execv(sys.executable, [sys.executable, "-B", "-c", program])
except OSError as error:
    print(f"the interpreter cannot be run by others: {error}", file=sys.stderr)
    sys.exit(cannot)
"""


def as_an_ordinary_user(program: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as a user without any rights; `returncode` may be `CANNOT`."""
    needed = dict.fromkeys((sys.base_prefix, sys.prefix, str(SRC)))
    arguments = [":".join(needed), str(USER), str(CANNOT), program]
    return subprocess.run(
        [sys.executable, "-B", "-c", LAUNCHER, *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SRC), "PATH": "/usr/bin:/bin"},
        check=False,
        timeout=50,
    )
