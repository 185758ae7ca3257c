# source: bpf loads code into the kernel
# expect: error: the worker ended
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    attributes = ctypes.create_string_buffer(72)
    result = libc.syscall(
        {"x86_64": 321, "aarch64": 280}[__import__("platform").machine()], 0, attributes, 72
    )
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
