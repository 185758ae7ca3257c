# source: uncover what lies below the minimal root
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.umount2(b"/", 2)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
