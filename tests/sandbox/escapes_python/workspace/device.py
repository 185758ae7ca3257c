# source: a device node is the hardware itself
# expect: error: PermissionError
import os
import stat


def handler(args):
    os.mknod("memory", 0o600 | stat.S_IFCHR, os.makedev(1, 1))
