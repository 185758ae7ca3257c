# source: a datagram pair could send to any socket with a path
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    pair = (ctypes.c_int * 2)()
    result = libc.socketpair(1, 2, 0, pair)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
