# source: System V memory is shared by key, not by path
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.shmget(1234, 4096, 0o1666)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
