# source: fallocate takes space without writing
# expect: error: Errno
import os


def handler(args):
    handle = os.open("space", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(handle, 0, 1 << 30)
