"""`micro-agi project`: the same record as the agent's, for a person."""

import pytest


@pytest.mark.requirement("004/project/commands")
def test_a_person_plans_works_and_completes(program):
    assert "no project yet" in program.ok("project", "show")
    shown = program.ok("project", "create", "Move", "--task", "copy", "--description", "all of it")
    assert shown == program.ok("project", "show")
    assert "- pending     task_1: copy" in shown
    assert "may become reviewing, paused" in program.ok("project", "move", "executing")
    program.ok("project", "add-task", "tell", "everybody", "--id", "tell")
    done = program.ok("project", "update-task", "tell", "complete", "--note", "by mail")
    assert done == "complete tell: tell everybody (by mail)\n"
    program.ok("project", "note", "-", stdin="DNS is slow\n")
    assert program.ok("project", "notes").splitlines()[-1].endswith(" DNS is slow")
    program.ok("project", "move", "reviewing")
    [said, *_] = program.refused("project", "move", "complete", code=3)
    assert said == "error: nobody is here to confirm this"
    program.ok("project", "move", "complete", "--yes")
    program.ok("project", "create", "Next")
    program.refused("project", "create", "Third", code=3)
    program.refused("project", "move", "complete", "--yes")  # a yes is no way around the order
    listed = program.ok("project", "list").splitlines()
    assert [line.split()[0] for line in listed] == ["ID", "2", "1"]
    assert program("project", "show", "1", "--json").json["project"]["tasks_open"] == 1
    assert "removed" in program.ok("project", "add-task", "x") + program.ok(
        *("project", "remove-task", "task_1")
    )
