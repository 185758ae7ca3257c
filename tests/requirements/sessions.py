"""What issue 6 asks of sessions: replay, budgets, compaction, large results."""

from tests.requirements.entry import Requirement as R

REQUIREMENTS = [
    R(
        "006/replay/identical",
        "Replay",
        "Every model request is rebuilt byte for byte from the journal, without a model.",
    ),
    R("006/replay/damage", "Replay", "A flipped byte of a session's record is located."),
    R(
        "006/replay/what-if",
        "Replay",
        "Another version of a tool says what it would have changed.",
    ),
    R("006/loops/circle", "Budgets and loops", "Calls in a circle are told once, then ended."),
    R(
        "006/loops/restart",
        "Budgets and loops",
        "A turn that was cut off counts circles and failures on, not anew.",
    ),
    R(
        "006/resume/quick",
        "Resume",
        "A long session is opened from where it stood, which is what its whole journal gives.",
    ),
    R(
        "006/budgets/session",
        "Budgets and loops",
        "A session has limits of steps, calls, time, tokens and money over all its turns.",
    ),
    R("006/budgets/flat", "Budgets and loops", "A step of a long turn costs what the first did."),
    R(
        "006/compaction/pinned",
        "Compaction contract",
        "The user's words, open tasks and facts that a summary lost are listed under it.",
    ),
    R("006/compaction/pairs", "Compaction contract", "A call is never parted from its result."),
    R("006/compaction/budget", "Compaction contract", "A compacted conversation fits its room."),
    R(
        "006/compaction/summariser",
        "Compaction contract",
        "It holds with a summariser that fails, answers rubbish or too much.",
    ),
    R("006/compaction/long", "Compaction contract", "It holds over a long real conversation."),
    R("006/compaction/recall", "Compaction contract", "What was dropped is read by its handle."),
    R(
        "006/compaction/detector",
        "Compaction contract",
        "How well ids, paths and numbers are found is measured on a labelled corpus.",
    ),
    R(
        "006/results/owned",
        "Large outputs",
        "A stored result is read by its own sessions only, and goes with the last of them.",
    ),
]
