"""What all tests share."""

import os
import sys

import pytest

from micro_agi.sandbox.kept_zygotes import kept_zygotes
from tests.warm import Warm

# Compiled code is kept, also where the environment says otherwise, as containers do: without it
# each test process compiles all tests again, for 2.5 s, and each program they start our modules.
# The zygotes, which get no environment, keep theirs in any case.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


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
