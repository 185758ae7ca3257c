# source: tgkill is another way to signal a process
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    result = libc.tgkill(1, 1, 9)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
