# source: another program would not carry our checks
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    argv = (ctypes.c_char_p * 2)(b"/bin/sh", None)
    result = libc.execve(b"/bin/sh", argv, None)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
