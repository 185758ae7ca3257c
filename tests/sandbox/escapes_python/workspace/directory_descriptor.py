# source: an open directory remembers a way out
# expect: error: FileNotFoundError
# level: A
import os


def handler(args):
    handle = os.open("..", os.O_PATH)
    for _ in range(8):
        handle = os.open("..", os.O_PATH, dir_fd=handle)
    return os.read(os.open("etc/passwd", os.O_RDONLY, dir_fd=handle), 9).decode()
