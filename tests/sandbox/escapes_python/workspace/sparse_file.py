# source: a length without content
# expect: error: File too large
# level: A
import pathlib


def handler(args):
    with pathlib.Path("sparse").open("wb") as file:
        file.truncate(1 << 40)
