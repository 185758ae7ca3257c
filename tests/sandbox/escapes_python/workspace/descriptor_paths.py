# source: reopen an inherited descriptor by its path
# expect: error: FileNotFoundError
# level: A
import os


def handler(args):
    return os.readlink("/proc/self/fd/3")
