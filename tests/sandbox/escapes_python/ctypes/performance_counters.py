# source: a side channel, and a source of kernel holes
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    attributes = ctypes.create_string_buffer(128)
    result = libc.syscall(
        {"x86_64": 298, "aarch64": 241}[__import__("platform").machine()], attributes, 0, -1, -1, 0
    )
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
