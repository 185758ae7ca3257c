# source: a null low half of the pointer must not pass for a null pointer
# expect: value: EPERM
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *([ctypes.c_int] * 3), ctypes.c_long]
    place = libc.mmap(1 << 32, 4096, 3, 0x32, -1, 0)
    assert place == 1 << 32
    ctypes.memmove(place, bytes(16), 16)
    result = libc.prlimit(0, 4, ctypes.c_void_p(place), None)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
