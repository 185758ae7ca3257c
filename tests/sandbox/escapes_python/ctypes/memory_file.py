# source: a file without a path could be executed
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.memfd_create(b"x", 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
