# source: move onto every core, or to real-time priority
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    mask = (ctypes.c_ulong * 16)(*[2**64 - 1] * 16)
    result = libc.sched_setaffinity(0, 128, mask)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
