# source: int 0x80 has other numbers: 1 is exit there, and write in ours
# expect: error: the worker ended
# machine: x86_64
import ctypes
import mmap

CODE = bytes.fromhex("b814000000cd80c3")


def handler(args):
    memory = mmap.mmap(-1, 4096, prot=7)
    memory.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return ctypes.CFUNCTYPE(ctypes.c_long)(address)()
