"""Give a room one door to the network: a socket on its own loopback that the parent answers.

The room keeps its empty network. A socket belongs to the network it was made in, whoever
holds it: this one is made in the room and handed out, so what connects to it in here is
accepted by the parent, which decides where each connection leads.
"""

import fcntl
import socket
import struct

GET_FLAGS, SET_FLAGS = 0x8913, 0x8914
UP = 1
REQUEST = struct.Struct("16sH14x")
WAITING = 64


def open_door(channel: int) -> int:
    """Listen on the room's loopback, hand the socket out through `channel`, return its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        asked = fcntl.ioctl(listener, GET_FLAGS, REQUEST.pack(b"lo", 0))
        _, flags = REQUEST.unpack(asked)
        fcntl.ioctl(listener, SET_FLAGS, REQUEST.pack(b"lo", flags | UP))
        listener.bind(("127.0.0.1", 0))
        listener.listen(WAITING)
        with socket.socket(fileno=channel) as parent:
            socket.send_fds(parent, [b"."], [listener.fileno()])
        return int(listener.getsockname()[1])


def environment(port: int) -> dict[str, str]:
    """Return the variables that tell programs of it."""
    proxy = f"http://127.0.0.1:{port}"
    names = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    return dict.fromkeys(names, proxy)
