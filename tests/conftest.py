"""What all tests share."""

import pytest

from micro_agi.sandbox.kept_zygotes import kept_zygotes


@pytest.fixture(scope="session", autouse=True)
def zygotes():
    """Runtimes of one test process hand their zygotes on; a test's own `Pool` does not."""
    with kept_zygotes() as kept:
        yield kept
