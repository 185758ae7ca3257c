"""Find a model, see that it fits, and load it with Transformers.

Only weights as safetensors are loaded, and no code that comes with a model runs: both other
ways hand the machine to whoever wrote the model. Nothing is fetched unless asked for.
Torch takes seconds to import, and is an extra: only the command imports this module.
"""

import time
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from msgspec import Struct
from safetensors import SafetensorError

from micro_agi.errors import InputInvalid, LimitReached
from micro_agi.modelserver.transformers_engine import TransformersEngine

_FETCHED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_DTYPES = ("float32", "bfloat16", "float16")


class Notice(Protocol):
    """Takes a line that says what is going on."""

    def __call__(self, text: str) -> None: ...


class Options(Struct, frozen=True, kw_only=True):
    """How a model is loaded; what is empty or 0 is chosen."""

    name: str = ""
    """What clients call it."""
    device: str = ""
    dtype: str = ""
    threads: int = 0
    window: int = 0
    """At most so many tokens."""
    cache_bytes: int = 2 << 30
    """For prefixes of past conversations."""
    download: bool = False


def load_engine(model: str, options: Options, notice: Notice) -> TransformersEngine:
    """Load a model from a folder, or from the hub's cache by its name.

    Raises: InputInvalid when there is no such model or it cannot be loaded, LimitReached when
    it does not fit into the memory that is free.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)
    folder = _folder(model, download=options.download)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if not size:
        raise InputInvalid(
            f"`{model}` has no weights as safetensors",
            where=str(folder),
            fix="convert it: other formats may run code when they are read",
        )
    started = time.monotonic()
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        device = _device(options.device)
        dtype = _dtype(options.dtype)
        _check_fits(model, size, config, device, dtype)
        notice(f"loading {model}: {_gigabytes(size)} of weights, on {device}")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        network = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True
        )
        network = network.to(device).eval()
    except torch.OutOfMemoryError as error:
        raise _does_not_fit(model, f"its weights take {_gigabytes(size)}", device) from error
    except (OSError, ValueError, ImportError, KeyError, SafetensorError) as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputInvalid(
            f"`{model}` cannot be loaded: {said}"[:500],
            where=str(folder),
            fix="use a model for text generation whose files are complete",
        ) from error
    _check_response_template(tokenizer, notice)
    if tokenizer.chat_template is None:
        notice("it has no chat template: only /v1/completions will work")
    engine = TransformersEngine(
        network,
        tokenizer,
        name=options.name or (folder.name if Path(model).is_dir() else model),
        window=options.window,
        cache_bytes=options.cache_bytes,
    )
    took = time.monotonic() - started
    about = f"{str(network.dtype).removeprefix('torch.')}, window {engine.window} tokens"
    notice(f"loaded in {took:.1f} s: {about}, {torch.get_num_threads()} threads")
    return engine


def _check_response_template(tokenizer: Any, notice: Notice) -> None:
    """Leave out a template that nothing could be read with, now and not at the first request."""
    if tokenizer.response_template is None:
        return
    try:
        tokenizer.get_response_parser(prefix="")
    except (ValueError, TypeError) as error:
        tokenizer.response_template = None
        notice(f"its response template is wrong and is not used: {error}"[:300])


def _folder(model: str, *, download: bool) -> Path:
    """Return where the model's files are."""
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise InputInvalid(
                f"`{model}` holds no model: it has no config.json",
                where=str(path.absolute()),
                fix="name the folder that a model was saved to",
            )
        return path
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise InputInvalid(
            f"there is no folder `{model}`", where=str(path.absolute()), fix="check the path"
        )
    try:
        found = snapshot_download(
            model, allow_patterns=list(_FETCHED), local_files_only=not download
        )
    except LocalEntryNotFoundError as error:
        if download:
            raise InputInvalid(
                f"`{model}` is not on this machine, and the hub cannot be reached",
                where="the hub's cache",
                fix="go online, or give the folder of a model",
            ) from error
        raise InputInvalid(
            f"`{model}` is neither a folder nor a model of the hub that is on this machine",
            where="the hub's cache",
            fix="give a folder, or add --download to fetch it",
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputInvalid(
            f"`{model}` cannot be fetched: {said}"[:500], where="the hub", fix="check the name"
        ) from error
    return Path(found)


def _device(wanted: str) -> str:
    if not wanted:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise InputInvalid(
            f"there is no device `{wanted}` here", where="--device", fix="use cpu, cuda or mps"
        ) from error
    return wanted


def _dtype(wanted: str) -> Any:
    if not wanted:
        return "auto"
    if wanted not in _DTYPES:
        raise InputInvalid(
            f"`{wanted}` is no type of weights", where="--dtype", fix=f"use {', '.join(_DTYPES)}"
        )
    return getattr(torch, wanted)


def _check_fits(model: str, size: int, config: Any, device: str, dtype: Any) -> None:
    """Refuse weights that are larger than the memory that is free, before anything is read."""
    stored = getattr(config, "dtype", None)
    if dtype != "auto" and isinstance(stored, torch.dtype):
        size = size * dtype.itemsize // stored.itemsize
    free = torch.cuda.mem_get_info(device)[0] if device.startswith("cuda") else _free_memory()
    if free is not None and size > free:
        what = f"its weights take {_gigabytes(size)}, and {_gigabytes(free)} are free"
        raise _does_not_fit(model, what, device)


def _does_not_fit(model: str, what: str, device: str) -> LimitReached:
    return LimitReached(
        f"`{model}` does not fit: {what}",
        where=f"the memory of {device}",
        fix="use a smaller or quantized model, --dtype bfloat16, or another --device",
    )


def _free_memory() -> int | None:
    """Return the bytes that programs can still get; None where nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    facts = dict(line.split(":", 1) for line in lines)
    return int(facts["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in facts else None


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
