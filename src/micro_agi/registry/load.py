"""Load an app: every index file below its source directory becomes entries.

A file without `namespace` is no index file and is left alone. One that has it and does
not load stops the start: a deny policy that is skipped would fail open. Every error names
file, line and key. Entries loaded here are plain values; nothing of the app has run.

Source: spec/runtime.md 1.2, 1.3. Differs: no file is skipped (DESIGN 5).
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from micro_agi.errors import EntryConflict, EntryInvalid, InputInvalid
from micro_agi.registry import kinds, yaml
from micro_agi.registry.entry import Entry
from micro_agi.registry.project import Project, load_project, read_text

SUFFIXES = (".yaml", ".yml", ".json")
SKIPPED_DIRECTORIES = ("node_modules",)
FILE = "file://"
BUILT_IN_MODULES = ("wippy/llm", "wippy/agent", "wippy/terminal")
NOT_DATA = ("name", "kind", "meta")
NOT_DATA_SINGLE = (*NOT_DATA, "namespace", "version", "requirements", "entries")
BESIDE = (".env", ".wippy.yaml", "wippy.lock", "wippy.yaml")
"""Files in the app directory that decide what it does."""


class AppFiles(Struct, frozen=True, kw_only=True):
    """What an app directory holds."""

    directory: Path
    entries: tuple[Entry, ...]
    project: Project
    warnings: tuple[str, ...]
    """One line each, to be shown at the start."""


def is_app(directory: Path) -> bool:
    """Whether a directory looks like an app: index files below its source directory."""
    return (directory / "src").is_dir() and any(
        (directory / name).is_file() for name in (".wippy.yaml", "wippy.yaml", "src/_index.yaml")
    )


def load_app(directory: Path, *, source: kinds.Source = "file") -> AppFiles:
    """Read all entries and the project files of an app.

    `source="program"` is for the bundled app alone: its files are ours.
    Raises: InputInvalid with file, line, column and key path; EntryConflict for an id that
    occurs twice.
    """
    project = load_project(directory)
    root = directory / project.source_directory
    if not root.is_dir():
        raise InputInvalid(
            f"the app has no directory `{project.source_directory}`",
            where=str(directory),
            fix="`micro-agi init DIR` makes a new app",
        )
    loaded, warnings = load_entries(root, source=source)
    return AppFiles(
        directory=directory,
        entries=loaded,
        project=project,
        warnings=(*warnings, *_unmet(loaded)),
    )


def load_entries(root: Path, *, source: kinds.Source) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Read all index files below `root`; returns the entries and the warnings.

    Raises: as `load_app`.
    """
    entries: dict[str, tuple[Entry, str]] = {}
    warnings: list[str] = []
    for path in source_files(root):
        for entry, where in _Index(root, path, source).entries(warnings):
            if entry.id in entries:
                raise EntryConflict(
                    f"two entries are called `{entry.id}`",
                    where=f"{where}, and {entries[entry.id][1]}",
                    fix="give one of them another name",
                )
            entries[entry.id] = (entry, where)
    return tuple(entry for entry, _ in entries.values()), tuple(warnings)


def content_hash(directory: Path) -> str:
    """Return the SHA-256 of everything that decides what an app does.

    All files below its source directory, and the ones beside it, by name and content: what
    a person trusted once is trusted until a byte of it changes.
    """
    project = load_project(directory)
    paths = [directory / name for name in BESIDE if (directory / name).is_file()]
    paths += _walk(directory / project.source_directory)
    total = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.relative_to(directory).as_posix()):
        name = path.relative_to(directory).as_posix().encode("utf-8", "surrogateescape")
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        total.update(len(name).to_bytes(8, "big") + name + content)
    return total.hexdigest()


def source_files(root: Path) -> list[Path]:
    """Return the files below `root` that may be index files, in a fixed order."""
    return [path for path in _walk(root) if path.suffix.lower() in SUFFIXES]


def _walk(root: Path) -> list[Path]:
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_DIRECTORIES)
        found += [Path(folder, name) for name in sorted(files)]
    return [path for path in found if path.is_file()]


class _Index:
    """One index file on its way to entries."""

    def __init__(self, root: Path, path: Path, source: kinds.Source) -> None:
        self._root = root.resolve()
        self._path = path
        self._source = source
        self._shown = path.relative_to(root.parent).as_posix()

    def entries(self, warnings: list[str]) -> Iterator[tuple[Entry, str]]:
        """Yield each entry with its place; nothing for a file that is no index."""
        document = self._read(warnings)
        if document is None or not isinstance(document.value, dict):
            return
        index: dict[str, Any] = document.value
        namespace = index.get("namespace")
        if namespace is None or (isinstance(namespace, str) and not namespace.strip()):
            return
        if not isinstance(namespace, str) or ":" in namespace:
            raise self._invalid(document, ("namespace",), "a namespace is a text without a colon")
        if "entries" in index:
            for path, item in self._items(document, index["entries"]):
                yield self._entry(document, path, item, namespace, index.get("meta"), NOT_DATA)
        elif "name" in index and "kind" in index:
            yield self._entry(document, (), index, namespace, None, NOT_DATA_SINGLE)
        else:
            raise self._invalid(
                document, (), "it has a namespace and neither `entries` nor `name` and `kind`"
            )

    def _read(self, warnings: list[str]) -> yaml.Document | None:
        if not self._path.resolve().is_relative_to(self._root):
            raise InputInvalid(
                "the file is a link that leads out of the source directory",
                where=self._shown,
                fix="copy the file into the app",
            )
        try:
            text = read_text(self._path, shown=self._shown)
            if self._path.suffix.lower() == ".json":
                return _load_json(text, self._shown)
            return yaml.load(text, self._shown)
        except InputInvalid as error:
            if self._may_be_index():
                raise
            warnings.append(f"{error.where}: {error.what}; the file has no namespace, left alone")
            return None

    def _may_be_index(self) -> bool:
        """Whether a file that does not parse may have been meant as one."""
        raw = self._path.read_bytes()
        return self._path.stem == "_index" or bool(re.search(rb"""namespace["']?\s*:""", raw))

    def _items(self, document: yaml.Document, items: Any) -> Iterator[tuple[yaml.Path, Any]]:
        if items is None:
            return
        if not isinstance(items, list):
            raise self._invalid(document, ("entries",), "`entries` must be a list")
        for number, item in enumerate(items):
            yield ("entries", number), item

    def _entry(
        self,
        document: yaml.Document,
        path: yaml.Path,
        item: Any,
        namespace: str,
        shared: Any,
        not_data: tuple[str, ...],
    ) -> tuple[Entry, str]:
        if not isinstance(item, dict):
            raise self._invalid(document, path, "an entry must be a map with name and kind")
        for key in ("name", "kind"):
            if not isinstance(item.get(key), str) or not item[key].strip():
                raise self._invalid(document, (*path, key), f"an entry needs a text as `{key}`")
        whole = "data" in item
        data = item["data"] if whole else {k: v for k, v in item.items() if k not in not_data}
        data = self._expanded(document, (*path, "data") if whole else path, data)
        if data is not None and not isinstance(data, dict):
            raise self._invalid(document, (*path, "data"), "`data` must be a map")
        own = item.get("meta")
        meta = {**_map(shared), **_map(self._expanded(document, (*path, "meta"), own))}
        entry = Entry(
            id=f"{namespace}:{item['name']}", kind=item["kind"], meta=meta, data=data or {}
        )
        self._validate(document, path, entry, whole=whole)
        return entry, document.where(path)

    def _validate(
        self, document: yaml.Document, path: yaml.Path, entry: Entry, *, whole: bool
    ) -> None:
        try:
            kinds.validate(entry, source=self._source)
        except EntryInvalid as error:
            inside = _path(error.where.partition(" at ")[2])
            if inside[:1] == ("data",) and not whole:
                inside = inside[1:]
            if inside[:1] == ("policy",) and whole:
                inside = ("data", *inside)
            raise EntryInvalid(
                f"{entry.id}: {error.what}",
                where=document.where((*path, *inside)),
                fix=error.fix,
            ) from error

    def _expanded(self, document: yaml.Document, path: yaml.Path, value: Any) -> Any:
        """Replace every `file://` text, however deep, by the file it names."""
        if isinstance(value, str):
            return self._file(document, path, value) if value.startswith(FILE) else value
        if isinstance(value, dict):
            return {k: self._expanded(document, (*path, k), v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._expanded(document, (*path, n), v) for n, v in enumerate(value)]
        return value

    def _file(self, document: yaml.Document, path: yaml.Path, value: str) -> str:
        name = value.removeprefix(FILE)
        if not name.strip("/"):
            raise self._invalid(document, path, f"`{value}` names no file")
        base = self._root if name.startswith("/") else self._path.parent
        target = base / name.lstrip("/")
        if "\0" in name or not target.resolve().is_relative_to(self._root):
            raise self._invalid(document, path, f"`{value}` leads out of the source directory")
        if not target.is_file():
            raise self._invalid(document, path, f"`{value}` does not exist")
        try:
            return read_text(target, shown=value)
        except InputInvalid as error:
            raise self._invalid(document, path, f"`{value}`: {error.what}") from error

    def _invalid(self, document: yaml.Document, path: yaml.Path, what: str) -> InputInvalid:
        return InputInvalid(what, where=document.where(path), fix="correct the file at this place")


def _load_json(text: str, file: str) -> yaml.Document:
    """Read a JSON index; places inside it are not kept."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        items = dict(pairs)
        if len(items) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputInvalid(
                f"the key `{twice}` occurs twice", where=file, fix="remove one of them"
            )
        return items

    def refuse(name: str) -> Any:
        raise InputInvalid(f"{name} is no JSON number", where=file, fix="put it in quotes")

    try:
        return yaml.Document(file, json.loads(text, object_pairs_hook=once, parse_constant=refuse))
    except json.JSONDecodeError as error:
        raise InputInvalid(
            f"this is no JSON: {error.msg}",
            where=f"{file}:{error.lineno}:{error.colno}",
            fix="check the commas and the quotes at this place",
        ) from error
    except RecursionError as error:
        raise InputInvalid("nested too deep", where=file, fix="write it flatter") from error


def _unmet(entries: tuple[Entry, ...]) -> Iterator[str]:
    """Say which dependencies nobody here provides, and refuse one component asked for twice."""
    asked: dict[str, str] = {}
    for entry in entries:
        if entry.kind == "ns.dependency":
            component = entry.data["component"]
            if component in asked:
                raise EntryConflict(
                    f"`{component}` is asked for twice",
                    where=f"{asked[component]} and {entry.id}",
                    fix="remove one of them",
                )
            asked[component] = entry.id
            if component not in BUILT_IN_MODULES:
                known = ", ".join(BUILT_IN_MODULES)
                yield f"{entry.id}: module `{component}` is not available; built in are {known}"


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _path(text: str) -> yaml.Path:
    """Read `data.modules[1]` back into its steps."""
    steps = re.findall(r"[^.\[\]]+|\[\d+\]", text)
    return tuple(int(s[1:-1]) if s.startswith("[") else s for s in steps)
