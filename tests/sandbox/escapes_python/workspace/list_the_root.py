# source: see the names of the machine's directories
# expect: value: false
import os


def handler(args):
    try:
        return "etc" in os.listdir("/")
    except PermissionError:
        return False
