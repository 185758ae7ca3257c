"""One bench of real workers for all tests of the sandbox that do not need their own."""

import pytest

from micro_agi.testing.sandbox import LuaBench


@pytest.fixture(scope="session")
def lua():
    bench = LuaBench()
    yield bench
    bench.close()
