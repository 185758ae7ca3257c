"""Say how the workers of one language are made, kept apart and stopped.

A pool runs one of these; the pool for Lua makes the others when a unit asks for them.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from micro_agi.sandbox.unit import Unit

PROGRAMS = Path(__file__).parent / "worker"
PACKAGES = ("numpy", "pandas")
"""What a Python tool may ask for beside the standard library, if it is installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What differs between the workers of two languages. Equal ones can share a zygote."""

    name: Literal["lua", "python"]
    program: Path
    needs: tuple[str, ...]
    """Top-level packages the zygote imports; only their directories are importable there."""
    offers: tuple[str, ...] = ()
    """Packages that its guests may import."""
    root: str
    """The layer that hides this machine's files when namespaces are there."""
    worst: Literal["C", "D"]
    """The lowest isolation level at which it is confined at all."""
    one_unit: bool
    """Whether a worker serves one unit alone: guests can change its interpreter for good."""
    interruptible: bool
    """Whether a signal stops the code and spares the worker."""
    spares: int
    """Locked workers that wait for a tenant: taking one costs 0.3 ms instead of 2."""
    retire_after_calls: int


LUA = Language(
    name="lua",
    program=PROGRAMS / "zygote.py",
    needs=("micro_agi", "lupa", "jsonschema_rs"),
    root="empty root",
    worst="D",
    one_unit=False,
    interruptible=False,
    spares=2,
    retire_after_calls=5000,
)


def python(offers: tuple[str, ...] = ()) -> Language:
    """Return the language of Python tools that ask for these packages."""
    return Language(
        name="python",
        program=PROGRAMS / "python_zygote.py",
        needs=("micro_agi", "msgspec", *offers),
        offers=offers,
        root="minimal root",
        worst="C",
        one_unit=True,
        interruptible=True,
        spares=1,
        retire_after_calls=1000,
    )


def language_of(unit: Unit) -> Language:
    """Return how a unit's workers are made; packages that are not installed are not offered."""
    if unit.language == "lua":
        return LUA
    asked = unit.all_modules()
    return python(tuple(p for p in PACKAGES if p in asked and importlib.util.find_spec(p)))
