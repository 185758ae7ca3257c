"""What goes over the wire in one hop, against servers that speak byte by byte."""

import asyncio
import datetime
import gzip
import ssl
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from micro_agi.errors import InputInvalid
from micro_agi.net.client import Client, Request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Script:
    """A server that reads a request and writes the next answer, one for each request.

    `close` ends the connection after each answer; `None` as an answer closes without one.
    """

    def __init__(self, *answers, close=False, tls=None):
        self.answers = list(answers)
        self.close = close
        self.tls = tls
        self.requests = []
        self.connections = 0
        self.gone = asyncio.Event()

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while self.answers:
                self.requests.append(await request_bytes(reader))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if self.close:
                    break
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        self.gone.set()


async def request_bytes(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = [line.lower() for line in head.split(b"\r\n")]
    length = next((int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


@asynccontextmanager
async def scripted(script):
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0, ssl=script.tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def run(script, use, **options):
    """Run `use(client, port)` against the script."""

    async def main():
        client = Client(offline=True, **options)
        try:
            async with scripted(script) as port:
                return await asyncio.wait_for(use(client, port), 10)
        finally:
            await client.close()

    return asyncio.run(main())


def test_a_request_says_its_host_its_length_and_what_the_caller_said():
    script = Script(OK)

    async def use(client, port):
        headers = [("Accept", "text/event-stream"), ("X-Name", "Zoë")]
        url = f"http://127.0.0.1:{port}/a b?q=1#f"
        await client.request("POST", url, headers=headers, body=b"{}")
        return port

    port = run(script, use)
    head, _, body = script.requests[0].decode().partition("\r\n\r\n")
    line, *headers = head.split("\r\n")
    assert (line, body) == ("POST /a%20b?q=1 HTTP/1.1", "{}")
    named = dict(h.split(": ", 1) for h in headers)
    assert len(named) == len(headers)
    assert (named["Host"], named["Content-Length"]) == (f"127.0.0.1:{port}", "2")
    assert (named["Accept"], named["X-Name"]) == ("text/event-stream", "Zoë")


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Connection", "X\r\nY", "a b"]
)
def test_no_caller_says_where_a_request_ends(name):
    script = Script(OK)

    async def use(client, port):
        await client.request("POST", f"http://127.0.0.1:{port}/", headers=[(name, "1")], body=b"x")

    with pytest.raises(InputInvalid):
        run(script, use)
    assert not script.requests


def test_interim_responses_are_passed_over():
    script = Script(b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK)

    async def use(client, port):
        return await client.request("GET", f"http://127.0.0.1:{port}/")

    answer = run(script, use)
    assert (answer.status, answer.body, answer.header("X")) == (200, b"ok", "")


def test_a_change_of_protocol_that_nobody_asked_for_is_an_error():
    script = Script(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    )

    async def use(client, port):
        await client.request("GET", f"http://127.0.0.1:{port}/")

    with pytest.raises(ConnectionError, match="protocol"):
        run(script, use)


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n"])
def test_what_is_no_response_is_a_connection_error(answer):
    async def use(client, port):
        await client.request("GET", f"http://127.0.0.1:{port}/")

    with pytest.raises(ConnectionError):
        run(Script(answer, close=True), use)


@pytest.mark.parametrize(("method", "sent"), [("GET", 3), ("POST", 2)])
def test_a_pooled_connection_that_died_is_noticed_and_only_what_is_safe_is_sent_again(method, sent):
    script = Script(OK, None, OK)

    async def use(client, port):
        url = f"http://127.0.0.1:{port}/"
        await client.request(method, url)
        return (await client.request(method, url)).body

    if method == "GET":
        assert run(script, use) == b"ok"
    else:
        with pytest.raises(ConnectionError):
            run(script, use)
    assert (len(script.requests), script.connections) == (sent, sent - 1)


def test_the_deadline_holds_for_the_body_too():
    script = Script(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    async def use(client, port):
        await client.request("GET", f"http://127.0.0.1:{port}/", timeout_s=0.1)

    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        run(script, use)


def test_a_connection_whose_response_was_not_read_to_its_end_is_closed():
    script = Script(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    async def use(client, port):
        wanted = Request(method="GET", url=f"http://127.0.0.1:{port}/")
        async with client.stream(wanted) as streamed:
            first = await streamed.piece()
        await script.gone.wait()
        return first

    assert run(script, use) == b"half"


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_many_small_chunks_arrive_whole_however_slowly_they_are_read(coding):
    text = b"".join(b"%06d\n" % n for n in range(100_000))
    data = gzip.compress(text) if coding else text
    pieces = [data[i : i + 50] for i in range(0, len(data), 50)]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    head += b"Content-Encoding: gzip\r\n" if coding else b""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces)
    script = Script(head + b"\r\n" + chunks + b"0\r\n\r\n")

    async def use(client, port):
        read = []
        wanted = Request(method="GET", url=f"http://127.0.0.1:{port}/")
        async with client.stream(wanted) as streamed:
            while piece := await streamed.piece():
                read.append(piece)
                await asyncio.sleep(0)
        return b"".join(read)

    assert run(script, use) == text


@pytest.mark.parametrize("trusted", [True, False])
def test_https_is_spoken_with_whom_the_authorities_vouch_for(tmp_path, trusted):
    script = Script(OK, tls=server_context(tmp_path))
    known = ssl.create_default_context()
    if trusted:
        known.load_verify_locations(tmp_path / "cert.pem")

    async def use(client, port):
        return (await client.request("GET", f"https://localhost:{port}/")).body

    if trusted:
        assert run(script, use, tls=known) == b"ok"
    else:
        with pytest.raises(ConnectionError):
            run(script, use, tls=known)


def server_context(folder):
    """Make a server's TLS context with a new certificate for `localhost` in `cert.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    plain = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
