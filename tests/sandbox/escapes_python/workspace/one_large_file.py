# source: fill the memory with one file
# expect: error: Errno
import pathlib


def handler(args):
    with pathlib.Path("large").open("wb") as file:
        for _ in range(200):
            file.write(bytes(1 << 20))
