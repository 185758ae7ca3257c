# source: inotify tells what others do with files
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.inotify_init()
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
