# source: take the zygote's memory away
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    new = (ctypes.c_ulong * 2)(0, 0)
    result = libc.prlimit(1, 9, new, None)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
