# source: put another file system over the libraries
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.mount(b"none", b"/", b"tmpfs", 0, None)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
