# source: Landlock does not know UDP; the filter must (trap 6)
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.socket(2, 2, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
