# source: pass an open file to the parent in a message
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    message = ctypes.create_string_buffer(56)
    result = libc.sendmsg(3, message, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
