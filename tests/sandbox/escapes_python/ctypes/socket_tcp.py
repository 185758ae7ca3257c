# source: a connection out of the sandbox, without the broker
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.socket(2, 1, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
