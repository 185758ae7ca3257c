# source: a socket with a path leads to ssh-agent or docker (trap 6)
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.socket(1, 1, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
