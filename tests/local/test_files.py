"""Files of the workspace, through the tools of the local agent."""

import asyncio

from micro_agi.llm.providers.scripted import Call
from micro_agi.messages import ToolCallFinished
from micro_agi.testing.transcript import run_transcript, scripted_runtime


def play(workspace, *calls, agent="local:assistant", **options):
    async def scenario():
        async with scripted_runtime(
            [*calls, "done"], workspace=str(workspace), **options
        ) as played:
            [turn] = await run_transcript(played.runtime, "go", session="s", agent=agent)
            return turn.of(ToolCallFinished)

    return asyncio.run(scenario())


def test_read_file_gives_lines_and_says_how_many_there_are(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    [result] = play(tmp_path, Call("read_file", {"path": "a.txt", "end_line": 2}))
    assert result.content.startswith("a.txt: lines 1-2 of 3 (utf-8, hash ")
    assert result.content.endswith("14 bytes)\none\ntwo\n… [go on with start_line 3]")


def test_a_path_that_leads_out_is_refused(tmp_path):
    [result] = play(tmp_path, Call("read_file", {"path": "../a.txt"}))
    assert result.error["code"] == "path.refused"
