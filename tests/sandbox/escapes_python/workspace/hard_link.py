# source: a second name for a library file, in a place that is writable
# expect: error: PermissionError
import os


def handler(args):
    os.link(os.__file__, "mine.py")
