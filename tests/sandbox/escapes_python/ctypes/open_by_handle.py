# source: a handle opens a file without any path
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    handle = ctypes.create_string_buffer(32)
    result = libc.open_by_handle_at(0, handle, 0)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
