"""A runtime whose file tools are called directly, with a person's authority."""

import asyncio
from pathlib import Path

import pytest

from micro_agi.errors import MicroAgiError
from micro_agi.testing.transcript import scripted_runtime


class Tools:
    """Calls tools one after the other in one runtime; an error is a result here."""

    def __init__(self, tmp_path):
        self.workspace = tmp_path / "ws"
        self.workspace.mkdir()
        self.home = str(tmp_path / "home")

    def __call__(self, *calls):
        """Each call is (tool, arguments), or a function of the runtime."""

        async def scenario():
            results = []
            async with scripted_runtime(
                ["x"], home=self.home, workspace=str(self.workspace)
            ) as played:
                for call in calls:
                    try:
                        if callable(call):
                            value = call(played.runtime)
                            value = await value if asyncio.iscoroutine(value) else value
                        else:
                            value = await played.runtime.call(f"local:{call[0]}", call[1])
                    except MicroAgiError as error:
                        value = error
                    results.append(value)
            return results

        return asyncio.run(scenario())

    def path(self, name) -> Path:
        return self.workspace / name


@pytest.fixture
def tools(tmp_path):
    return Tools(tmp_path)
