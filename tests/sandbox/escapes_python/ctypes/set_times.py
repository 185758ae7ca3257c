# source: nor the times of a file
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.utimensat(-100, b"/", None, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
