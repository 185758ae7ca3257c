# source: a new module beside the libraries would be imported
# expect: error: Errno
import os
import pathlib


def handler(args):
    pathlib.Path(os.path.dirname(os.__file__), "evil.py").write_text("x = 1")
