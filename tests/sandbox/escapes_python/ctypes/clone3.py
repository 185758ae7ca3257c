# source: its flags are behind a pointer that no filter can follow
# expect: value: ENOSYS
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)


def handler(args):
    arguments = ctypes.create_string_buffer(88)
    result = libc.syscall(435, arguments, 88)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "escaped"
