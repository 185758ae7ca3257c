# source: learn that a file exists, and its size
# expect: error: FileNotFoundError
# level: A
import os


def handler(args):
    return os.stat("/etc/passwd").st_size
