"""Who may talk to the server: raw requests with the headers of pages, strangers and owners."""

import asyncio
import json

import pytest

from micro_agi.errors import InputInvalid
from micro_agi.modelserver.serve import listen
from tests.modelserver.conftest import TOKEN
from tests.modelserver.fake import FakeEngine

BODY = json.dumps({"model": "fake-model", "messages": [{"role": "user", "content": "hi"}]})


async def ask(address, path="/v1/chat/completions", method="POST", body=BODY, **headers):
    """Send one request byte by byte as given; return status and body."""
    host, port = address.removeprefix("http://").removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    given = {
        "Host": f"{host}:{port}",
        "Authorization": f"Bearer {TOKEN}",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in given.items() if v), "", body]
    writer.write("\r\n".join(lines).encode())
    await writer.drain()
    reply = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, rest = reply.partition("\r\n\r\n")
    return int(head.split()[1]), head, json.loads(rest)


@pytest.mark.requirement("004/model-server/guarded")
@pytest.mark.parametrize(
    ("headers", "status", "says"),
    [
        ({}, 200, ""),
        ({"Host": "localhost:1"}, 200, ""),
        ({"Host": "[::1]:8000"}, 200, ""),
        ({"Authorization": f"bearer {TOKEN}"}, 200, ""),
        ({"Authorization": ""}, 401, "the token is missing or wrong"),
        ({"Authorization": "Bearer wrong"}, 401, "the token is missing or wrong"),
        ({"Authorization": f"Basic {TOKEN}"}, 401, "the token is missing or wrong"),
        ({"Authorization": ""}, 401, "the server printed it"),
        ({"Host": "evil.example"}, 403, "does not go by the name `evil.example`"),
        ({"Host": "127.0.0.1.evil.example:80"}, 403, "does not go by the name"),
        ({"Host": "evil.example@127.0.0.1"}, 200, ""),
        ({"Origin": "http://evil.example"}, 403, "web pages may not"),
        ({"Origin": "http://127.0.0.1:1"}, 403, "web pages may not"),
        ({"Origin": "null"}, 403, "web pages may not"),
    ],
)
def test_only_the_owners_programs_are_served(play, headers, status, says):
    async def scenario(served):
        code, head, body = await ask(served.address, **headers)
        assert code == status
        assert says in json.dumps(body)
        assert "access-control" not in head.lower()
        assert TOKEN not in json.dumps(body)
        assert bool(served.engine.ended) == (status == 200)

    play(FakeEngine("yes"), scenario)


def test_health_needs_no_token_but_the_right_host_and_says_nothing_of_the_model(play):
    async def scenario(served):
        options = {"path": "/health", "method": "GET", "body": "", "Authorization": ""}
        code, _, body = await ask(served.address, **options)
        assert (code, body["status"]) == (200, "ok")
        assert "fake-model" not in json.dumps(body)
        assert (await ask(served.address, **options, Host="evil.example"))[0] == 403

    play(FakeEngine("yes"), scenario)


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        ({"path": "/v1/embeddings"}, 404, "use one of: /health"),
        ({"method": "PUT"}, 405, "there is no `PUT /v1/chat/completions`"),
        ({"body": "{"}, 400, "the body is not JSON"),
        ({"body": "[" * 100_000}, 400, "the body is not JSON"),
        ({"body": "[]"}, 400, "send one JSON object"),
        ({"body": '"' + "x" * (33 << 20)}, 413, "more than 32 MiB"),
    ],
)
def test_odd_requests_get_an_answer_with_the_way_out(play, request_, status, says):
    async def scenario(served):
        code, _, body = await ask(served.address, **request_)
        assert code == status
        assert says in body["error"]["message"]

    play(FakeEngine("yes"), scenario)


def test_an_address_that_is_taken_is_refused_with_the_way_out():
    with (
        listen("127.0.0.1", 0) as taken,
        pytest.raises(InputInvalid, match="cannot listen at") as refused,
    ):
        listen("127.0.0.1", taken.getsockname()[1])
    assert "--port" in refused.value.fix
