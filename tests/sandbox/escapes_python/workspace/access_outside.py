# source: access tells the same without opening
# expect: value: false
# level: A
import os


def handler(args):
    return os.access("/etc/passwd", os.F_OK)
