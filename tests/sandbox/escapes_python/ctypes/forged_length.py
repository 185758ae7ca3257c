# source: a frame that says it has four gigabytes
# expect: error: a frame of 4294967295 bytes
import os


def handler(args):
    os.write(3, b"\xff" * 4)
    while True:
        pass
