# source: a second set of numbers shares the architecture
# expect: error: the worker ended
# machine: x86_64
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.syscall(0x40000000 + 39)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
