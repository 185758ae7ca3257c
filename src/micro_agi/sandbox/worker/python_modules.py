"""Make granted modules importable, and say what to do about the others.

A proxy has no power of its own: each call asks the parent, which looks up what the tool in
flight was granted. Source: spec/runtime.md 6.10 for the options; the shape is Python's.
"""

import contextlib
import importlib.abc
import importlib.machinery
import json
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Host = Callable[..., Any]

METHODS = ("get", "post", "put", "delete", "head", "patch")
OPTIONS = (
    *("headers", "query", "cookies", "form", "body", "files", "timeout", "auth"),
    "max_response_body",
    "idempotency_key",
)
HOST_MODULES = ("http_client",)
LUA_ONLY = (
    *("channel", "contract", "crypto", "ctx", "env", "events", "expr", "funcs", "hash"),
    *("logger", "payload", "process", "registry", "security", "store", "text", "url", "yaml"),
)
"""Names a tool's author may know from Lua, and that Python has under another name or not."""
INSTEAD = {
    **{"crypto": "hashlib, hmac, secrets", "hash": "hashlib, hmac", "text": "re, difflib"},
    **{"url": "urllib.parse", "logger": "print", "expr": "ast.literal_eval"},
}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class HostError(Exception):
    """Something the runtime was asked for failed. `kind` and `retryable` say how."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.message = str(facts.get("message") or "the call failed")
        super().__init__(self.message)
        self.kind = str(facts.get("kind") or "Internal")
        self.retryable = facts.get("retryable")
        self.details = facts.get("details")


class Response(dict[str, Any]):
    """An answer to an HTTP request: the documents' keys, as attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name in ("body", "headers", "cookies"):
                return "" if name == "body" else {}
            raise AttributeError(f"a response has no `{name}`: {', '.join(self)}") from None

    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.body)


def _response(answer: Mapping[str, Any]) -> Response:
    response = Response(answer)
    body = response.get("body")
    if isinstance(body, bytes):
        with contextlib.suppress(UnicodeDecodeError):
            response["body"] = body.decode()
    return response


def _options(given: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"options must be a dict, not {type(given).__name__}")
    options = {**(given or {}), **named}
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"unknown option `{name}`; options are {', '.join(OPTIONS)}")
    timeout = options.get("timeout")
    if isinstance(timeout, str):
        parts = DURATION.findall(timeout)
        if not parts or "".join(n + u for n, u in parts) != timeout:
            raise ValueError(f"timeout {timeout!r} is no duration: write seconds, or '30s'")
        options["timeout"] = sum(float(n) * SECONDS[u] for n, u in parts)
    return {name: value for name, value in options.items() if value is not None}


def _http_client(host: Host) -> types.ModuleType:
    module = types.ModuleType("http_client", "HTTP requests, made by the runtime.")

    def method(name: str) -> Callable[..., Response]:
        def call(url: str, options: Any = None, **named: Any) -> Response:
            return _response(host(f"http_client.{name}", url, _options(options, named)))

        call.__name__ = name
        return call

    def request(method: str, url: str, options: Any = None, **named: Any) -> Response:
        return _response(host("http_client.request", method.upper(), url, _options(options, named)))

    def request_batch(requests: Sequence[Sequence[Any]]) -> list[Any]:
        listed = [
            [str(r[0]).upper(), r[1], _options(r[2] if len(r) > 2 else None, {})] for r in requests
        ]
        answers = host("http_client.request_batch", listed)
        return [
            HostError(one["error"]) if "error" in one else _response(one["response"])
            for one in answers
        ]

    for name in METHODS:
        setattr(module, name, method(name))
    functions = {"request": request, "request_batch": request_batch}
    for name, value in {**functions, "HostError": HostError, "Response": Response}.items():
        setattr(module, name, value)
    return module


PROXIES: Mapping[str, Callable[[Host], types.ModuleType]] = {"http_client": _http_client}


class Importer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules that are not the standard library's: granted ones and imports."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.granted: frozenset[str] = frozenset()
        self.libraries: Mapping[str, Callable[[], types.ModuleType]] = {}
        """What the tool imports from other entries, by alias."""

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in self.libraries or fullname in self.granted & set(PROXIES):
            return importlib.machinery.ModuleSpec(fullname, self)
        if fullname in HOST_MODULES:
            raise ImportError(
                f"module `{fullname}` is not granted: add {fullname!r} to `modules`", name=fullname
            )
        if fullname in LUA_ONLY:
            use = INSTEAD.get(fullname)
            hint = f"use {use}" if use else "Python tools have nothing like it"
            raise ImportError(f"there is no module `{fullname}` for tools: {hint}", name=fullname)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        if spec.name in self.libraries:
            return self.libraries[spec.name]()
        return PROXIES[spec.name](self._host)

    def exec_module(self, module: types.ModuleType) -> None:
        """Do nothing: the module is complete when it is made."""

    def forget(self) -> None:
        """Let the next call make its modules anew."""
        for name in (*self.libraries, *HOST_MODULES):
            sys.modules.pop(name, None)


class LastWord(importlib.abc.MetaPathFinder):
    """Asked when nobody else has a module: says what tools do have."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if path is None and fullname in INSTALLABLE:
            raise ModuleNotFoundError(
                f"`{fullname}` is not available to tools: {INSTALLABLE[fullname]}", name=fullname
            )


INSTALLABLE: Mapping[str, str] = {
    **dict.fromkeys(("numpy", "pandas"), "list it in `modules`, if the operator installed it"),
    **dict.fromkeys(
        ("requests", "httpx", "aiohttp", "urllib3"),
        "ask for module `http_client` and use `http_client.get`",
    ),
    **dict.fromkeys(("yaml", "dateutil", "pytz"), "use json, datetime and zoneinfo"),
}
