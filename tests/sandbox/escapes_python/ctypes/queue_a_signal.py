# source: rt_sigqueueinfo is a third way to signal a process
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    info = ctypes.c_void_p(1)
    result = libc.sigqueue(1, 9, info)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
