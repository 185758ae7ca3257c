# source: machine code in executable memory calls socket() itself; the filter asks the kernel
# expect: value: -1
# machine: x86_64
import ctypes
import mmap

CODE = bytes.fromhex("b829000000bf02000000be0100000031d20f05c3")


def handler(args):
    memory = mmap.mmap(-1, 4096, prot=7)
    memory.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return ctypes.CFUNCTYPE(ctypes.c_long)(address)()
