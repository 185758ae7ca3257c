# source: change the machine's time
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    now = (ctypes.c_long * 2)(0, 0)
    result = libc.clock_settime(0, now)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
