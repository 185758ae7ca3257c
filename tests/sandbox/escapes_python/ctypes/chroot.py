# source: with a new root, `..` of an open directory leads out
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.chroot(b"/")
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
