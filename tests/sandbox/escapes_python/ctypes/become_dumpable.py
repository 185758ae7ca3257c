# source: a dumpable process can be traced by others of its user
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.prctl(4, 1, 0, 0, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
