# source: its requests pass no system call filter
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    parameters = ctypes.create_string_buffer(120)
    result = libc.syscall(425, 1, parameters)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
