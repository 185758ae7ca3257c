# source: move a library file into the workspace
# expect: error: Errno
import os


def handler(args):
    os.rename(os.__file__, "mine.py")
