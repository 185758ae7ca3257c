# source: clear the signal that ends workers with their zygote
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.prctl(1, 0, 0, 0, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
