"""Say how the workers of one language are made, kept apart and stopped.

A pool runs one of these; the pool for Lua makes the others when a unit asks for them.
"""

import importlib.util
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from micro_agi.sandbox.unit import Unit

PROGRAMS = Path(__file__).parent / "worker"
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Numeric libraries start a thread for each core unless told: workers may have none."""
PACKAGES = ("numpy", "pandas")
"""What a Python tool may ask for beside the standard library, if it is installed."""


class Language(Struct, frozen=True, kw_only=True):
    """What differs between the workers of two languages."""

    name: Literal["lua", "python"]
    backend: Literal["Lua", "CPython", "Monty"]
    """What interprets it, as people are told."""
    program: Path
    needs: tuple[str, ...]
    """Top-level packages the zygote imports; only their directories are importable there."""
    interpreter: str = ""
    """Path of the program that interprets, where it is not the worker itself: Monty."""
    offers: tuple[str, ...] = ()
    """Packages that its guests may import."""
    environment: tuple[tuple[str, str], ...] = ()
    """Of the zygote, and everything there is; never a variable of ours."""
    root: str
    """The layer that hides this machine's files when namespaces are there."""
    worst: Literal["C", "D"]
    """The lowest isolation level at which it is confined at all."""
    one_unit: bool
    """Whether a worker serves one unit alone: guests can change its interpreter for good."""
    spares: int
    """Locked workers that wait for a tenant: taking one costs 0.3 ms instead of 2."""
    retire_after_calls: int
    libraries: bool = False
    """Whether its workers have the libraries that only some Lua modules need."""

    def runs(self, unit: Unit) -> bool:
        """Whether a worker of it has all that the unit asks for."""
        return unit.language == self.name and (self.libraries or not unit.libraries)


LUA = Language(
    name="lua",
    backend="Lua",
    program=PROGRAMS / "zygote.py",
    needs=("micro_agi", "lupa"),
    root="empty root",
    worst="D",
    one_unit=False,
    spares=2,
    retire_after_calls=5000,
)
LUA_LIBRARIES = replace(
    LUA,
    program=PROGRAMS / "library_zygote.py",
    needs=(
        *("micro_agi", "lupa", "jsonschema_rs", "cryptography"),
        *("re2", "diff_match_patch", "markdown_it", "mdurl", "yaml"),
    ),
    spares=1,
    libraries=True,
)
"""Lua with every library: the same cage, two thirds more to load."""


def python(asked: tuple[str, ...] = ()) -> Language:
    """Return the language of Python tools that ask for these packages.

    Those that are not installed are not offered: importing one says so.
    """
    offers = tuple(package for package in asked if importlib.util.find_spec(package))
    return Language(
        name="python",
        backend="CPython",
        program=PROGRAMS / "python_zygote.py",
        needs=("micro_agi", "msgspec", *offers),
        offers=offers,
        environment=tuple((name, "1") for name in ONE_THREAD),
        root="minimal root",
        worst="C",
        one_unit=True,
        spares=1,
        retire_after_calls=1000,
    )


def monty() -> Language | None:
    """Return what Python tools run in where CPython cannot be confined; None: not installed.

    Monty interprets a subset of Python without CPython, so no file has to be hidden from it.
    """
    import importlib.metadata  # slow to load, and only weak machines ask

    try:
        files = importlib.metadata.files("pydantic-monty-runtime") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    programs = [str(Path(file.locate()).resolve()) for file in files if file.name == "monty"]
    if not programs or importlib.util.find_spec("pydantic_monty") is None:
        return None
    return Language(
        name="python",
        backend="Monty",
        program=PROGRAMS / "monty_zygote.py",
        needs=("micro_agi", "msgspec", "pydantic_monty", "typing_extensions"),
        interpreter=programs[0],
        root="",
        worst="D",
        one_unit=True,
        spares=1,
        retire_after_calls=1000,
    )


def packages_asked(unit: Unit) -> tuple[str, ...]:
    """Return which packages beside the standard library a unit asks for."""
    return tuple(package for package in PACKAGES if package in unit.granted)
