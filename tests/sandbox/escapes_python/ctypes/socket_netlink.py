# source: the kernel's own configuration interface
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.socket(16, 3, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
