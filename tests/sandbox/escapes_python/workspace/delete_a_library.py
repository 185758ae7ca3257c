# source: remove what every later worker imports
# expect: error: Errno
import os


def handler(args):
    os.unlink(os.__file__)
