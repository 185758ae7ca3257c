# source: move bytes between descriptors, past read and write
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.splice(3, None, 3, None, 16, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
