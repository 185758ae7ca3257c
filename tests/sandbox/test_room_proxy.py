"""What a room may ask of the network, and what it gets."""

import asyncio
import os
import socket
from contextlib import asynccontextmanager

import pytest

from micro_agi.errors import PolicyDenied, SandboxUnavailable
from micro_agi.sandbox.room_proxy import HEAD_BYTES, RoomProxy
from micro_agi.sandbox.shell import ShellLimits, run_shell


@asynccontextmanager
async def server(got):
    """A server that notes each head and says who it is."""

    async def serve(reader, writer):
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nreached!")
        await writer.drain()
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()


def allowing(port):
    async def dial(host, wanted):
        if (host, wanted) != ("127.0.0.1", port):
            raise PolicyDenied("not in `hosts`", where=host)
        return await asyncio.open_connection(host, wanted)

    return dial


ROOM = """
ask() {{ exec 3<>/dev/tcp/127.0.0.1/${{http_proxy##*:}}; printf "$1" >&3; cat <&3; echo; }}
ask 'GET http://127.0.0.1:{port}/a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'
ask 'CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\n\\r\\nGET /b HTTP/1.1\\r\\n\\r\\n'
ask 'GET http://127.0.0.1:{other}/c HTTP/1.1\\r\\n\\r\\n'
bash -c 'echo > /dev/tcp/127.0.0.1/{port}' && echo ESCAPED
bash -c 'echo > /dev/udp/127.0.0.1/{port}' && echo ESCAPED
bash -c 'echo > /dev/tcp/127.0.0.1/{other}' && echo ESCAPED
echo end
"""


@pytest.mark.requirement("004/shell/network")
@pytest.mark.parametrize("without", [frozenset(), frozenset({"landlock"})])
def test_a_room_reaches_what_was_granted_through_its_door_and_nothing_else(tmp_path, without):
    """Bounded: six attempts, all on this test's own servers on loopback."""
    heads = []

    async def scenario():
        async with server(heads) as port, server(heads) as other:
            command = ROOM.format(port=port, other=other)
            return await run_shell(
                command,
                workspace=tmp_path,
                limits=ShellLimits(wall_s=20.0),
                dial=allowing(port),
                without=without,
            ), other

    try:
        found, other = asyncio.run(scenario())
    except SandboxUnavailable as error:
        pytest.skip(f"{error.what}: {error.where}")
    assert found.output.count("reached!") == 2, found
    assert "HTTP/1.1 403" in found.output
    assert "ESCAPED" not in found.output
    assert found.output.endswith("end\n")
    assert found.refused == (f"127.0.0.1:{other}: not in `hosts`",)
    assert [h.split(b" ")[1] for h in heads] == [b"/a", b"/b"]


SOCKETS = """
import socket as s
for family in (s.AF_INET, s.AF_INET6, s.AF_NETLINK, s.AF_PACKET, s.AF_VSOCK):
    for kind in (s.SOCK_STREAM, s.SOCK_DGRAM, s.SOCK_RAW, s.SOCK_RDM, s.SOCK_SEQPACKET, 6):
        for protocol in (0, 6, 132, 262):
            for more in (0, s.SOCK_NONBLOCK | s.SOCK_CLOEXEC):
                try:
                    s.socket(family, kind | more, protocol).close()
                    print(int(family), int(kind), protocol)
                except OSError:
                    pass
"""


@pytest.mark.requirement("004/shell/network")
@pytest.mark.parametrize("granted", [True, False])
def test_a_room_with_a_door_makes_tcp_sockets_and_no_others(tmp_path, granted):
    (tmp_path / "sockets.py").write_text(SOCKETS)

    async def scenario():
        command = "command -v python3 >/dev/null || exit 99; python3 sockets.py"
        return await run_shell(command, workspace=tmp_path, dial=allowing(1) if granted else None)

    try:
        found = asyncio.run(scenario())
    except SandboxUnavailable as error:
        pytest.skip(f"{error.what}: {error.where}")
    if found.exit_code == 99:
        pytest.skip("there is no python3 among this machine's programs")
    assert (found.exit_code, set(found.output.splitlines())) == (
        *(0, {"2 1 0", "2 1 6"} if granted else set()),
    ), found.errors


@pytest.mark.requirement("004/shell/network")
def test_what_is_no_request_to_a_proxy_goes_nowhere():
    wrong = [
        *(b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET https://h/ HTTP/1.1\r\n\r\n"),
        *(
            b"CONNECT h HTTP/1.1\r\n\r\n",
            b"CONNECT h:99999 HTTP/1.1\r\n\r\n",
            b"GET http://h\r\n\r\n",
        ),
        *(b"CONNECT [::1 HTTP/1.1\r\n\r\n", b"GET http:///x HTTP/1.1\r\n\r\n"),
        b"GET http://h/ HTTP/1.1\r\nX: " + b"x" * HEAD_BYTES + b"\r\n\r\n",
    ]
    right = (
        b"POST http://127.0.0.1:%d/a?b HTTP/1.1\r\nHost: x\r\nProxy-Authorization: y\r\n"
        b"Connection: keep-alive\r\n\r\n"
    )
    dialled, heads = [], []

    async def ask(port, request):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        said = await reader.read(100)
        writer.close()
        return said.split(b"\r\n")[0]

    async def scenario():
        async with server(heads) as port:

            async def dial(host, wanted):
                dialled.append((host, wanted))
                return await allowing(port)(host, wanted)

            proxy = RoomProxy(dial)
            with socket.create_server(("127.0.0.1", 0)) as door:
                with socket.socket(fileno=os.dup(proxy.theirs)) as room:
                    socket.send_fds(room, [b"."], [door.fileno()])
                proxy.begin()
                own = door.getsockname()[1]
                half, silent = await asyncio.open_connection("127.0.0.1", own)
                silent.write(b"GET http://")
                refused = [await ask(own, request) for request in wrong]
                reached = await ask(own, right % port)
                await proxy.close()
                assert await asyncio.wait_for(half.read(), 5) == b""
                silent.close()
            return refused, reached, port

    refused, reached, port = asyncio.run(scenario())
    assert refused == [b"HTTP/1.1 400 Proxy"] * len(wrong)
    assert reached == b"HTTP/1.1 200 OK"
    assert dialled == [("127.0.0.1", port)]
    assert heads == [b"POST /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
