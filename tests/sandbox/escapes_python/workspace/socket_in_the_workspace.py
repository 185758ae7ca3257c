# source: a socket with a path would connect two workers
# expect: error: PermissionError
import socket


def handler(args):
    socket.socket(socket.AF_UNIX).bind("s")
