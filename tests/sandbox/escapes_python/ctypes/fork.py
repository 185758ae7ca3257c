# source: a copy of the worker would outlive its deadline
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.fork()
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
