"""One runtime for all tests of the framework: starting one costs more than all they do."""

import pytest

from tests.framework.lua_app import lua_app


@pytest.fixture(name="shared", scope="session")
def shared_fixture():
    with lua_app() as app:
        yield app


@pytest.fixture(name="app")
def app_fixture(shared):
    yield shared
    shared.script.clear()
