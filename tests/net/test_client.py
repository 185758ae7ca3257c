"""The HTTP client against real servers on loopback, with an injected resolver."""

import asyncio
import gzip
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from micro_agi.errors import InputInvalid, LimitReached, PolicyDenied
from micro_agi.net.addresses import is_private
from micro_agi.net.client import Client, Request


@asynccontextmanager
async def serving(handler):
    """Serve every path with `handler`; yields the port."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", getattr(handler, "answer", handler))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class Seen:
    """Remembers requests and answers with what `answers` has for the path."""

    def __init__(self, answers):
        self.answers = answers
        self.requests = []

    async def answer(self, request):
        body = await request.read()
        self.requests.append((request.method, request.path, dict(request.headers), body))
        answer = self.answers.get(request.path, {"text": "hello"})
        return web.Response(**answer)


def asking(handler, use, **options):
    """Run `use(client, port)` with a server and a client that are closed afterwards."""

    async def main():
        client = Client(**{"offline": True, **options})
        try:
            async with serving(handler) as port:
                return await asyncio.wait_for(use(client, port), 10)
        finally:
            await client.close()

    return asyncio.run(main())


def refuse_private(ip, host, port):
    if is_private(ip):
        raise PolicyDenied(f"{host} is private", where=ip)


def to_loopback(*names):
    async def resolve(host, port):
        return ["127.0.0.1"] if host in names else []

    return resolve


def test_a_response_has_status_headers_and_body():
    seen = Seen({"/x": {"text": "hi", "status": 404, "headers": {"X-One": "1"}}})

    async def use(client, port):
        return await client.request(
            "POST", f"http://127.0.0.1:{port}/x?q=1", headers=[("X-Mine", "yes")], body=b"data"
        )

    response = asking(seen, use)
    assert (response.status, response.body, response.header("x-ONE")) == (404, b"hi", "1")
    method, path, headers, body = seen.requests[0]
    assert (method, path, headers["X-Mine"], body) == ("POST", "/x", "yes", b"data")


@pytest.mark.parametrize("size", [10, (1 << 20) + 5])
def test_bodies_of_every_size_arrive_with_their_length(size):
    async def count(request):
        total = 0
        async for piece in request.content.iter_any():
            total += len(piece)
        return web.Response(text=f"{total} {request.headers['Content-Length']}")

    async def use(client, port):
        return await client.request("POST", f"http://127.0.0.1:{port}/", body=b"x" * size)

    assert asking(count, use).body == f"{size} {size}".encode()


def test_a_body_over_its_cap_is_refused_while_it_is_read():
    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b"x" * 10_000)
        return response

    async def use(client, port):
        await client.request("GET", f"http://127.0.0.1:{port}/", max_bytes=50_000)

    with pytest.raises(LimitReached, match="max 50000 bytes"):
        asking(endless, use)


def test_a_compressed_body_counts_decompressed():
    bomb = gzip.compress(b"\0" * 5_000_000)
    seen = Seen({"/": {"body": bomb, "headers": {"Content-Encoding": "gzip"}}})

    async def use(client, port):
        await client.request("GET", f"http://127.0.0.1:{port}/", max_bytes=1_000_000)

    with pytest.raises(LimitReached):
        asking(seen, use)


def test_a_server_that_says_nothing_times_out():
    async def silent(request):
        await asyncio.sleep(5)
        return web.Response()

    async def use(client, port):
        await client.request("GET", f"http://127.0.0.1:{port}/", timeout_s=0.05)

    with pytest.raises(TimeoutError):
        asking(silent, use)


def test_nobody_listening_is_a_connection_error_that_names_the_url():
    async def use(client, port):
        await client.request("GET", "http://127.0.0.1:1/nothing")

    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1"):
        asking(Seen({}), use)


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        (301, "POST", ("GET", b"")),
        (302, "POST", ("GET", b"")),
        (303, "PUT", ("GET", b"")),
        (301, "PUT", ("PUT", b"data")),
        (307, "POST", ("POST", b"data")),
        (308, "POST", ("POST", b"data")),
    ],
)
def test_a_redirect_changes_the_method_as_browsers_do(status, method, expected):
    seen = Seen({"/a": {"status": status, "headers": {"Location": "b"}}})

    async def use(client, port):
        return await client.request(method, f"http://127.0.0.1:{port}/a", body=b"data")

    response = asking(seen, use)
    assert response.url.endswith("/b")
    got_method, path, _, body = seen.requests[1]
    assert (path, (got_method, body)) == ("/b", expected)


def test_another_origin_gets_no_secret_and_no_header_of_the_caller():
    first, second = Seen({}), Seen({})
    headers = [
        ("Authorization", "Bearer k"),
        ("Cookie", "c=1"),
        ("X-Api-Key", "k"),
        ("Accept", "text/plain"),
    ]

    async def use(client, port):
        async with serving(second) as other:
            location = f"http://127.0.0.1:{other}/there"
            first.answers["/a"] = {"status": 307, "headers": {"Location": "/same"}}
            first.answers["/same"] = {"status": 307, "headers": {"Location": location}}
            await client.request("GET", f"http://127.0.0.1:{port}/a", headers=headers)

    asking(first, use)
    kept = first.requests[1][2]
    assert kept["Authorization"] == "Bearer k"
    assert kept["X-Api-Key"] == "k"
    told = second.requests[0][2]
    assert told["Accept"] == "text/plain"
    assert not {"Authorization", "Cookie", "X-Api-Key"} & set(told)


def test_more_than_ten_redirects_are_an_error():
    seen = Seen({"/a": {"status": 302, "headers": {"Location": "/a"}}})

    async def use(client, port):
        await client.request("GET", f"http://127.0.0.1:{port}/a")

    with pytest.raises(ConnectionError, match="more than 10 times"):
        asking(seen, use)
    assert len(seen.requests) == 11


def test_a_redirect_is_a_response_when_none_may_be_followed():
    seen = Seen({"/a": {"status": 302, "headers": {"Location": "/b"}}})

    async def use(client, port):
        return await client.request("GET", f"http://127.0.0.1:{port}/a", follow=0)

    assert asking(seen, use).status == 302


def test_every_hop_is_checked_in_the_spelling_that_is_requested():
    seen = Seen({"/a": {"status": 302, "headers": {"Location": "/b?x=1#part"}}})
    checked = []

    async def use(client, port):
        await client.request("GET", f"HTTP://127.0.0.1:{port}/./a#top", check=checked.append)
        return port

    port = asking(seen, use)
    assert checked == [f"http://127.0.0.1:{port}/a", f"http://127.0.0.1:{port}/b?x=1"]


def test_a_redirect_to_a_refused_url_is_not_requested():
    seen = Seen({"/a": {"status": 302, "headers": {"Location": "/secret"}}})

    def check(url):
        if url.endswith("/secret"):
            raise PolicyDenied("not this one", where=url)

    async def use(client, port):
        await client.request("GET", f"http://127.0.0.1:{port}/a", check=check)

    with pytest.raises(PolicyDenied, match="not this one"):
        asking(seen, use)
    assert [path for _, path, _, _ in seen.requests] == ["/a"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::ffff:127.0.0.1]", "rebind.example", "0x7f000001", "localhost"]
)
def test_a_private_address_is_refused_however_it_is_spelt(host):
    seen = Seen({})

    async def use(client, port):
        await client.request("GET", f"http://{host}:{port}/", allow_address=refuse_private)

    resolve = to_loopback("rebind.example", "0x7f000001", "localhost")
    with pytest.raises(PolicyDenied):
        asking(seen, use, resolve=resolve, offline=False)
    assert seen.requests == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0177.0.0.1"])
def test_old_numeric_spellings_of_an_address_are_no_hosts(host):
    async def use(client, port):
        await client.request("GET", f"http://{host}:{port}/", allow_address=refuse_private)

    with pytest.raises((InputInvalid, PolicyDenied)):
        asking(Seen({}), use, offline=False)


def test_a_name_with_one_private_address_among_public_ones_is_refused():
    async def resolve(host, port):
        return ["9.9.9.9", "127.0.0.1"]

    async def use(client, port):
        await client.request("GET", f"http://both.example:{port}/", allow_address=refuse_private)

    with pytest.raises(PolicyDenied):
        asking(Seen({}), use, resolve=resolve, offline=False)


def test_a_redirect_to_a_name_that_leads_home_is_refused():
    seen = Seen({"/a": {"status": 302, "headers": {"Location": "http://inside.example/"}}})
    addresses = {"outside.example": True, "inside.example": False}

    def allow(ip, host, port):
        if not addresses[host]:
            raise PolicyDenied(f"{host} leads to {ip}")

    async def use(client, port):
        await client.request("GET", f"http://outside.example:{port}/a", allow_address=allow)

    with pytest.raises(PolicyDenied, match="leads to 127"):
        asking(seen, use, resolve=to_loopback(*addresses), offline=False)
    assert len(seen.requests) == 1


def test_a_pooled_connection_that_somebody_else_opened_is_checked_too():
    seen = Seen({})
    calls = []

    async def resolve(host, port):
        calls.append(host)
        return ["127.0.0.1"]

    async def use(client, port):
        url = f"http://model.example:{port}/"
        await client.request("GET", url)
        with pytest.raises(PolicyDenied):
            await client.request("GET", url, allow_address=refuse_private)
        await client.request("GET", url)

    asking(seen, use, resolve=resolve, offline=False)
    assert calls == ["model.example"]
    assert len(seen.requests) == 2


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http+unix://socket/",
        "http:///x",
        "nonsense",
        "http://a:99999/",
        "http://known.example@127.0.0.1/",
        "http://user:secret@127.0.0.1/",
    ],
)
def test_what_is_not_plain_http_is_refused_without_quoting_a_password(url):
    async def use(client, port):
        await client.request("GET", url)

    with pytest.raises(InputInvalid) as refused:
        asking(Seen({}), use)
    assert "secret" not in str(refused.value)


def test_a_header_or_method_with_a_line_break_is_refused():
    async def use(client, port):
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(InputInvalid):
            await client.request("GET", url, headers=[("X", "a\r\nY: b")])
        with pytest.raises(InputInvalid):
            await client.request("GET / HTTP/1.1\r\n", url)

    asking(Seen({}), use)


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    seen = Seen({})

    async def use(client, port):
        return await client.request("GET", f"http://127.0.0.1:{port}/")

    assert asking(seen, use).status == 200


@pytest.mark.parametrize("host", ["9.9.9.9", "elsewhere.example"])
def test_an_offline_client_reaches_no_other_machine(host):
    async def resolve(name, port):
        return ["9.9.9.9"]

    async def use(client, port):
        await client.request("GET", f"http://{host}/")

    with pytest.raises(PolicyDenied, match="not on this machine"):
        asking(Seen({}), use, resolve=resolve)


def test_an_offline_client_asks_no_name_server():
    async def use(client, port):
        await client.request("GET", "http://some.name.example/")

    with pytest.raises(PolicyDenied, match="not on this machine"):
        asking(Seen({}), use)


def test_a_stream_is_read_as_it_comes():
    go_on = asyncio.Event()

    async def slow(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        await go_on.wait()
        await response.write(b"two")
        return response

    async def use(client, port):
        pieces = []
        wanted = Request(method="GET", url=f"http://127.0.0.1:{port}/")
        async with client.stream(wanted) as streamed:
            while piece := await streamed.piece():
                pieces.append(piece)
                go_on.set()
        return pieces

    assert asking(slow, use) == [b"one", b"two"]


def test_connections_are_reused_and_closed_at_the_end():
    peers = set()

    async def handler(request):
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(text="x")

    async def use(client, port):
        for _ in range(3):
            await client.request("GET", f"http://127.0.0.1:{port}/")

    asking(handler, use)
    assert len(peers) == 1
