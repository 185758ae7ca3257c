# source: and so does every directory
# expect: error: Errno
# level: A
import os


def handler(args):
    for n in range(5000):
        os.mkdir(f"d{n}")
