# source: open files are a resource of the machine
# expect: error: Too many open files
import os


def handler(args):
    for _ in range(1000):
        os.dup(0)
