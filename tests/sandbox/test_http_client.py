"""`http_client` from Lua to a real server on loopback, and what the policies say to it."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from micro_agi.net.client import Client
from micro_agi.sandbox.host.http_client import http_client_functions
from micro_agi.security.actor import Actor
from micro_agi.security.context import CallContext, root_context
from micro_agi.security.policy import Policy, Scope
from micro_agi.testing.sandbox import LuaBench


class Server(BaseHTTPRequestHandler):
    """Echoes what it got; a few paths do something else."""

    def reply(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        answer, status, extra = b"", 200, []
        match self.path.partition("?")[0]:
            case "/redirect":
                status, extra = 302, [("Location", "/echo?hop=1")]
            case "/away":
                status, extra = 302, [("Location", "http://metadata.invalid/")]
            case "/empty":
                status = 204
            case "/big":
                answer = b"x" * 5000
            case "/binary":
                answer = b"\xff\xfe\x00"
            case "/missing":
                status, answer = 404, b"no"
            case _:
                extra = [("x-many", "1"), ("x-many", "2"), ("set-cookie", "sid=42; Path=/")]
                headers = {k.lower(): v for k, v in self.headers.items()}
                facts = [self.command, self.path, headers, body.decode("latin-1")]
                answer = json.dumps(facts).encode()
        self.send_response(status)
        for name, value in extra:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = reply

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def web():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    client = Client(offline=True)
    bench = LuaBench(host=http_client_functions(client), workers=2)
    bench.base = f"http://127.0.0.1:{server.server_port}"
    yield bench
    bench.wait(client.close())
    # The last connections close on the loop's next turn.
    bench.wait(asyncio.sleep(0))
    bench.close()
    server.shutdown()
    server.server_close()
    thread.join(5)


def run(web, body, context=None):
    source = "return function(base) " + body + " end"
    return web.run(source, web.base, modules=("http_client", "json"), context=context)


def guest(*policies):
    return CallContext(actor=Actor("agent:x"), scope=Scope(policies))


REQUESTS = Policy(
    id="p:r", effect="allow", actions=("http_client.request",), resources=("http://*",)
)
PRIVATE = Policy(
    id="p:i", effect="allow", actions=("http_client.private_ip",), resources=("127.*",)
)


def test_a_response_is_a_plain_table(web):
    body = """local r, err = http_client.get(base .. "/echo?b=2&a=1", {
        query = { a = "x y" },
        headers = { ["X-Test"] = "t", ["X-Number"] = 5 }, cookies = { c = "1" } })
      return { r.status_code, math.type(r.status_code), r.body_size == #r.body,
        r.url == base .. "/echo?a=x+y&b=2",
        r.headers["X-Many"], r.cookies.sid, json.decode(r.body), err == nil }"""
    status, kind, sized, url, many, cookie, echoed, no_error = run(web, body)
    assert (status, kind, sized, url, many, cookie, no_error) == (
        200,
        "integer",
        True,
        True,
        "1",
        "42",
        True,
    )
    method, path, headers, _ = echoed
    assert (method, path) == ("GET", "/echo?a=x+y&b=2")
    assert headers["x-test"] == "t"
    assert headers["cookie"] == "c=1"
    assert "x-number" not in headers


def test_bodies_forms_files_and_credentials(web):
    body = """local function sent(method, options)
        return json.decode(http_client.request(method, base .. "/echo", options).body)
      end
      local form = sent("post", { form = { a = "1 2" }, body = "ignored" })
      local files = sent("POST", { files = {
        { name = "f", filename = "n.txt", content = "data" }, { name = "" } } })
      local plain = sent("put", { body = "\\xff\\0", auth = { user = "u", pass = "p" } })
      return { form, files[4], plain }"""
    form, files, plain = run(web, body)
    assert (form[0], form[3]) == ("POST", "a=1+2")
    assert form[2]["content-type"] == "application/x-www-form-urlencoded"
    assert 'name="f"; filename="n.txt"' in files
    assert files.count("form-data") == 1
    assert (plain[0], plain[3], plain[2]["authorization"]) == ("PUT", "\xff\0", "Basic dTpw")


@pytest.mark.requirement("design/12/idempotency-header")
def test_a_call_of_an_idempotent_tool_sends_its_key_on_request(web):
    body = """local function sent(options)
        local r, err = http_client.post(base .. "/echo", options)
        if err then return tostring(err) end
        return json.decode(r.body)[3]["idempotency-key"] or "none"
      end
      return { sent({}), sent({ idempotency_key = true }), sent({ idempotency_key = "second" }) }"""
    once = root_context().narrowed(idempotency_key="k" * 32)
    plain, key, second = run(web, body, once)
    assert (plain, key) == ("none", "k" * 32)
    assert len(second) == 32
    assert (second != key, run(web, body, once)) == (True, [plain, key, second])
    plain, key, _ = run(web, body)
    assert plain == "none"
    assert "declared idempotent" in key


SMALL = [
    (
        "http_client.get(base .. '/empty')",
        "return { r.status_code, r.body == nil, r.body_size }",
        [204, True, 0],
    ),
    (
        "http_client.get(base .. '/missing')",
        "return { r.status_code, r.body, err == nil }",
        [404, "no", True],
    ),
    ("http_client.get(base .. '/binary')", "return { r.body == '\\xff\\xfe\\0' }", [True]),
    ("http_client.head(base .. '/big')", "return { r.status_code, r.body == nil }", [200, True]),
    (
        "http_client.get(base .. '/redirect')",
        "return { r.status_code, r.url == base .. '/echo?hop=1' }",
        [200, True],
    ),
    (
        "http_client.get(base .. '/big', { max_response_body = 100 })",
        "return { err:kind(), err:message() }",
        ["Internal", "response body too large (max 100 bytes)"],
    ),
    (
        "http_client.get('http://127.0.0.1:1/')",
        "return { err:kind(), err:retryable() }",
        ["Internal", True],
    ),
    ("http_client.get(base, { stream = true })", "return { err:kind() }", ["Unavailable"]),
    ("http_client.get('ftp://127.0.0.1/')", "return { r == nil, err ~= nil }", [True, True]),
]


@pytest.mark.parametrize(("call", "then", "expected"), SMALL)
def test_statuses_are_data_and_failures_are_error_objects(web, call, then, expected):
    assert run(web, f"local r, err = {call} {then}") == expected


def test_a_batch_keeps_positions(web):
    body = """local responses, errs = http_client.request_batch({
        { "get", base .. "/missing" }, { "GET", "http://127.0.0.1:1/" },
        { "POST", base .. "/empty" } })
      return { responses[1].status_code, responses[2] == nil, responses[3].status_code,
        errs[2]:kind(), errs[1] == nil }"""
    assert run(web, body) == [404, True, 204, "Internal", True]
    assert run(web, "return (pcall(http_client.request_batch, {}))") is False
    assert run(web, "return (pcall(http_client.get, ''))") is False


def test_without_an_allow_nothing_is_requested(web):
    body = """local r, err = http_client.get(base)
      return { err:kind(), err:message() == 'not allowed: ' .. base }"""
    assert run(web, body, guest()) == ["PermissionDenied", True]


def test_a_private_address_needs_an_allow_of_its_own(web):
    body = """local r, err = http_client.get(base .. '/empty')
      return r and r.status_code or tostring(err)"""
    assert "127.0.0.1" in run(web, body, guest(REQUESTS))
    assert run(web, body, guest(REQUESTS, PRIVATE)) == 204


def test_a_redirect_is_checked_like_a_first_request(web):
    here = Policy(
        id="p:h", effect="allow", actions=("http_client.request",), resources=(f"{web.base}*",)
    )
    body = "local r, err = http_client.get(base .. '/away') return { err:kind(), err:message() }"
    kind, message = run(web, body, guest(here, PRIVATE))
    assert kind == "PermissionDenied"
    assert "metadata.invalid" in message
    assert run(web, body, root_context())[0] in {"PermissionDenied", "Internal"}


def test_a_denied_address_in_a_batch_stops_the_batch(web):
    here = Policy(
        id="p:h", effect="allow", actions=("http_client.request",), resources=(f"{web.base}*",)
    )
    body = """local r, err = http_client.request_batch({
        { "GET", base }, { "GET", "http://other.invalid/" } })
      return { r == nil, err:kind() }"""
    assert run(web, body, guest(here, PRIVATE)) == [True, "PermissionDenied"]
