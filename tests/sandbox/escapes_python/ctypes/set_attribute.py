# source: nor extended attributes
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.setxattr(b"/", b"user.x", b"y", 1, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
