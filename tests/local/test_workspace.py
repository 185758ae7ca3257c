"""The one door to files: what it opens, and what nobody gets through it."""

import os
import socket
import threading

import pytest

from micro_agi.errors import EntryNotFound, InputInvalid, PathRefused, ToolFailed
from micro_agi.local.beneath import Beneath
from micro_agi.local.credentials import credential_like
from micro_agi.local.workspace import Workspace

SECRET = b"the outside"


@pytest.fixture
def outside(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(SECRET)
    return tmp_path / "outside"


@pytest.fixture(params=["kernel", "step by step"])
def workspace(tmp_path, request):
    root = tmp_path / "ws"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.txt").write_text("inside")
    made = Workspace(root)
    made._tree = Beneath(made.root, kernel=request.param == "kernel")
    return made


def read(workspace, path):
    handle = workspace.open(workspace.place(path))
    try:
        return os.read(handle, 1000)
    finally:
        os.close(handle)


@pytest.mark.requirement("004/workspace/inside")
@pytest.mark.parametrize(
    "path",
    ["sub/a.txt", "./sub//a.txt", "workspace/sub/a.txt", "sub/./a.txt", "workspace//sub/a.txt"],
)
def test_paths_below_the_workspace_open(workspace, path):
    assert read(workspace, path) == b"inside"


def test_a_directory_called_workspace_is_what_it_is(workspace):
    (workspace.root / "workspace").mkdir()
    (workspace.root / "workspace" / "a.txt").write_text("deeper")
    assert read(workspace, "workspace/a.txt") == b"deeper"


@pytest.mark.requirement("004/workspace/refused")
@pytest.mark.parametrize(
    "path",
    [
        *(
            "../outside/file",
            "sub/../../outside/file",
            "..",
            "sub/..",
            "/etc/passwd",
            "//etc/passwd",
        ),
        *(
            "sub/a.txt\0",
            "\0",
            "x" * 256,
            "a/" * 65 + "b",
            "\ud800",
            "workspace/../../outside/file",
        ),
        *(".env", "sub/prod.env", "id_rsa", "sub/.ssh/config", ".git/config", "a/.GIT/hooks/x"),
        *("my_token.txt", "db-password.yaml", "server.pem", "x.key", "@current/x"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused_as_text(workspace, outside, path):
    with pytest.raises(PathRefused) as refused:
        workspace.place(path)
    assert refused.value.fix


def link(workspace, outside):
    os.symlink(outside / "file", workspace.root / "x")
    return "x"


def link_to_inside(workspace, outside):
    os.symlink("sub/a.txt", workspace.root / "x")
    return "x"


def dangling(workspace, outside):
    os.symlink("nowhere", workspace.root / "x")
    return "x"


def directory_link(workspace, outside):
    os.symlink(outside, workspace.root / "d")
    return "d/file"


def climbing_link(workspace, outside):
    os.symlink("../..", workspace.root / "sub" / "up")
    return "sub/up/outside/file"


def link_of_a_link(workspace, outside):
    os.symlink(outside, workspace.root / "one")
    os.symlink("../one", workspace.root / "sub" / "two")
    return "sub/two/file"


def magic_link(workspace, outside):
    os.symlink(f"/proc/self/fd/{os.open(outside, os.O_RDONLY)}", workspace.root / "m")
    return "m/file"


def hard_link(workspace, outside):
    os.link(outside / "file", workspace.root / "x")
    return "x"


def pipe(workspace, outside):
    os.mkfifo(workspace.root / "x")
    return "x"


def unix_socket(workspace, outside):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(workspace.root / "x"))
    return "x"


@pytest.mark.requirement("004/workspace/refused")
@pytest.mark.parametrize(
    "attack",
    [
        *(link, link_to_inside, dangling, directory_link, climbing_link, link_of_a_link),
        *(magic_link, hard_link, pipe, unix_socket),
    ],
)
def test_what_is_planted_in_the_tree_opens_nothing(workspace, outside, attack):
    path = attack(workspace, outside)
    with pytest.raises(PathRefused):
        read(workspace, path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_not_opened(workspace):
    try:
        os.mknod(workspace.root / "x", 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this root may not make devices")
    with pytest.raises(PathRefused):
        read(workspace, "x")


@pytest.mark.requirement("004/workspace/races")
def test_swapping_components_while_a_path_is_opened_leads_nowhere(workspace, outside):
    root, stop = workspace.root, threading.Event()
    (root / "sub" / "file").write_text("inside")
    os.symlink(outside, root / "evil")

    def swap():
        while not stop.is_set():
            os.rename(root / "sub", root / "kept")
            os.rename(root / "evil", root / "sub")
            os.rename(root / "sub", root / "evil")
            os.rename(root / "kept", root / "sub")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = {"read": 0, "refused": 0}
    try:
        for _ in range(2000):
            try:
                assert read(workspace, "sub/file") == b"inside"
                seen["read"] += 1
            except (PathRefused, EntryNotFound, ToolFailed):
                seen["refused"] += 1
            if min(seen.values()) > 20:
                break
    finally:
        stop.set()
        thread.join()
    assert seen["read"], seen


@pytest.mark.requirement("004/workspace/current")
def test_the_current_directory_can_be_read_and_not_written(tmp_path, outside):
    workspace = Workspace(tmp_path / "ws", current=outside)
    assert read(workspace, "@current/file") == SECRET
    with pytest.raises(PathRefused):
        workspace.place("@current/file", write=True)
    with pytest.raises(PathRefused):
        workspace.place("@current/../x")


def test_the_runtimes_own_state_is_in_no_workspace_and_cannot_be_read(tmp_path):
    home = tmp_path / "home"
    (home / "workspace").mkdir(parents=True)
    (home / "state.db").write_text("everything")
    for around in (tmp_path, home):
        with pytest.raises(InputInvalid, match="keeps its state"):
            Workspace(around, private=[home])
    workspace = Workspace(home / "workspace", current=tmp_path, private=[home])
    with pytest.raises(PathRefused):
        workspace.place("@current/home/state.db")


def test_a_missing_file_names_the_nearest(workspace):
    with pytest.raises(EntryNotFound) as missing:
        read(workspace, "sub/b.txt")
    assert missing.value.fix == "there is: a.txt"


@pytest.mark.parametrize(
    "path",
    [
        *(
            "src/tokenizer.py",
            "monkey.py",
            "passwords.md",
            ".env.example",
            "id_rsa.pub",
            "keys.txt",
        ),
        *("tokens.css", "environment.yml", "src/secret_sharing.rs", "keyboard.json"),
    ],
)
def test_names_that_only_sound_like_credentials_are_files(path):
    assert credential_like(tuple(path.split("/"))) == ""
