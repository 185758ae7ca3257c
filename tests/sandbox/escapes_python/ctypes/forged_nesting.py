# source: a frame of a hundred thousand nested lists
# expect: error: the worker was stopped
import os


def handler(args):
    body = b"\x91" * 100000 + b"\xc0"
    os.write(3, len(body).to_bytes(4, "little") + body)
    while True:
        pass
