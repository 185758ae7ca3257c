# source: change what every later worker imports
# expect: error: Errno
import os
import pathlib


def handler(args):
    pathlib.Path(os.__file__).write_text("x = 1")
