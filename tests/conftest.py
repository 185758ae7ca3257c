"""What all tests share."""

import fcntl
import os
import sys
import tempfile
from pathlib import Path

import pytest

from micro_agi.sandbox.kept_zygotes import kept_zygotes
from tests.warm import Warm

# Compiled code is kept, also where the environment says otherwise, as containers do: without it
# each test process compiles all tests again, for 2.5 s, and each program they start our modules.
# The zygotes, which get no environment, keep theirs in any case.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

LONGEST_FIRST = (
    *("test_benchmarks.py", "test_escapes.py", "test_load.py", "test_documents.py"),
    *("test_prove.py", "test_fuzz.py", "test_resume.py", "test_registry_door.py"),
)
"""Files whose tests take seconds each. At the end of a run they would leave all processors but
one idle, and taken apart by another process what `test_escapes.py` shares is made twice."""


def pytest_collection_modifyitems(items):
    """Begin with the longest tests; the first of the processes gets them."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """One test process more than there are processors: a quarter of its time, each waits."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())
    return len(usable) + 1


@pytest.fixture(scope="session", autouse=True)
def zygotes():
    """Runtimes of one test process hand their zygotes on; a test's own `Pool` does not."""
    with kept_zygotes() as kept:
        yield kept


@pytest.fixture(scope="session")
def warm():
    """Starts programs of ours without their imports; nothing runs until the first one."""
    with Warm() as started:
        yield started


@pytest.fixture
def demo_port():
    """The port of the demo, for one test of this machine at a time.

    A demo that finds it taken takes another, and then its tool is not the one of the last time.
    """
    with open(Path(tempfile.gettempdir(), f"micro-agi-demo-{os.getuid()}.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
