"""`model-server`: serve one model of this machine to OpenAI-compatible clients."""

import argparse
import secrets

from micro_agi.commands.invocation import Invocation
from micro_agi.errors import InputInvalid, MicroAgiError
from micro_agi.settings import PREFIX
from micro_agi.values import Secret

TOKEN_VARIABLE = PREFIX + "MODEL_SERVER_TOKEN"
_RANGES = {
    "--port": (0, 65535),
    "--threads": (0, 1024),
    "--window": (0, 1 << 31),
    "--cache-mb": (0, 1 << 31),
    "--at-once": (1, 64),
}
"""What nothing below would refuse, or only with a traceback."""


async def run(invocation: Invocation) -> int:
    """Load the model, say where it is served, and serve it until Ctrl-C."""
    args, settings = invocation.args, invocation.settings
    _check_ranges(args)
    if not settings.model:
        raise InputInvalid(
            "no model is named",
            where="micro-agi model-server",
            fix="add --model with a folder, or with the hub name of a model",
        )
    try:
        from micro_agi.modelserver.serve import address_of, listen, serve
        from micro_agi.modelserver.server import Server
    except ImportError as error:
        raise _missing(error) from error
    # Taken before the model is loaded, which may take minutes.
    listening = listen(args.host, args.port)
    try:
        from micro_agi.modelserver.load import Options, load_engine

        engine = load_engine(
            settings.model,
            Options(
                name=args.name,
                device=args.device,
                dtype=args.dtype,
                threads=args.threads,
                window=args.window,
                cache_bytes=args.cache_mb << 20,
                download=args.download,
            ),
            invocation.note,
        )
        given = settings.model_server_token
        token = given or Secret(secrets.token_urlsafe(24))
        server = Server(engine, token, names=(args.host,), at_once=args.at_once)
        address = address_of(listening)
        invocation.say(f"serving {engine.name} at {address}  (Ctrl-C stops it)")
        if not given:
            invocation.say(f"token: {token.reveal()}  (shown once; {TOKEN_VARIABLE} sets it)")
        shown = f"${TOKEN_VARIABLE}" if given else token.reveal()
        invocation.say(
            f"use it: {PREFIX}API_KEY={shown} micro-agi --base-url {address} --model {engine.name}"
        )
        await serve(server, listening)
    except ImportError as error:
        raise _missing(error) from error
    finally:
        listening.close()
    return 0


def _check_ranges(args: argparse.Namespace) -> None:
    for flag, (least, most) in _RANGES.items():
        value = getattr(args, flag.removeprefix("--").replace("-", "_"))
        if not least <= value <= most:
            raise InputInvalid(
                f"`{value}` is no value for {flag}",
                where="micro-agi model-server",
                fix=f"give a number from {least} to {most}",
            )


def _missing(error: ImportError) -> MicroAgiError:
    return InputInvalid(
        f"the model server needs a package that is not installed: {error.name or error}",
        where="the extra `models`",
        fix="run `pip install 'micro-agi[models]'`",
    )
