# source: take the user of the namespace's owner
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.setuid(0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
