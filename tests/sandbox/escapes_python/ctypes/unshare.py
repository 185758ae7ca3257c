# source: a new user namespace would give capabilities back
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.unshare(0x10000000)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
