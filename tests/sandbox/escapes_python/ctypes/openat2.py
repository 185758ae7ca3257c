# source: its flags are behind a pointer too
# expect: value: ENOSYS
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    how = ctypes.create_string_buffer(24)
    result = libc.syscall(437, -100, b"/etc/passwd", how, 24)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
