# source: raise the limit that stops memory bombs
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    new = (ctypes.c_ulong * 2)(2**40, 2**40)
    result = libc.prlimit(0, 9, new, None)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
