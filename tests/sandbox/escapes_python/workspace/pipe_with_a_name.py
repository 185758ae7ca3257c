# source: a pipe would connect two workers
# expect: error: PermissionError
import os


def handler(args):
    os.mkfifo("pipe")
