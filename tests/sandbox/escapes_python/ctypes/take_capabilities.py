# source: raise the capabilities that the lock dropped
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    result = libc.capset(header, data)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
