# source: put a file next to the workspace
# expect: error: Errno
import pathlib


def handler(args):
    pathlib.Path("/planted").write_text("x")
