"""Behaviours of `seeds/local-agent-server.txt` (document 004), and of spec/local-agent.md 7."""

from tests.requirements.entry import Requirement as R

REQUIREMENTS = [
    R("004/agent/assistant", "Key features", "An agent works on local files with the tools."),
    R("004/agent/steps", "How It Works", "Its turns have 20 steps unless a person says else."),
    R("004/workspace/inside", "Local-Only Design", "The agent works in the workspace directory."),
    R("004/workspace/refused", "Safety", "`..`, links, devices and secrets are refused."),
    R("004/workspace/races", "Safety", "Swapping components meanwhile leads nowhere."),
    R("004/workspace/current", "Quick Start", "Files of the current directory can be read."),
    R("004/workspace/consent", "Safety", "A directory outside the home is asked about once."),
    R("004/workspace/cost", "Safety", "No cost grows with the number of files."),
    R("004/files/list", "Tools", "list_files lists files, by pages, without what is ignored."),
    R("004/files/read", "Tools", "read_file reads lines of a file, of any size and encoding."),
    R("004/files/search", "Tools", "search_files finds lines by text or expression."),
    R("004/files/write", "Tools", "write_file writes a file in one step."),
    R("004/files/edit", "Tools", "edit_file replaces an exact piece and shows the difference."),
    R("004/files/governed", "Safety", "File tools need what policies or a person allow."),
    R("004/undo/restores", "Safety", "Changes of files can be undone, also after a restart."),
    R("004/undo/changed", "Safety", "A file that changed since is left alone and shown."),
    R("004/undo/crash", "Safety", "A change that was cut off by a crash is told apart."),
    R("004/undo/commands", "Safety", "`undo` and `/undo` take changes back."),
    R("004/shell/runs", "Tools", "shell runs commands and returns code and output."),
    R("004/shell/room", "Safety", "A command reaches nothing but the workspace."),
    R("004/shell/limits", "Safety", "Time, processes and memory of a command have limits."),
    R("004/shell/output", "Tools", "Long output keeps its head and its tail."),
    R("004/shell/closed", "Safety", "Where the kernel cannot confine commands none is run."),
    R("004/shell/policy", "Safety", "Dangerous commands are denied; text is no command."),
    R(
        "004/shell/rules",
        "Safety",
        "An operator adds rules.",
        "differs",
        "Rules are entries of the registry, not code in a wiring file.",
    ),
    R("004/shell/asked", "Safety", "Other commands are asked about, each by itself."),
]
