# source: enter the namespaces of another process
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.setns(0, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
