"""Where state lives, and which app directories a person has trusted.

One folder for the bundled app and one for each app directory, under the platform's user
data directory or `MICRO_AGI_HOME`; never inside an app, so that nobody can ship somebody
else's state. Source: DESIGN 4.2.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

from micro_agi.errors import PolicyDenied
from micro_agi.registry.load import content_hash, is_app
from micro_agi.settings import Settings
from micro_agi.store.database import Database

PROOF = "proof:escaped"
BUNDLED = "bundled"
"""Name of the app that comes with the package; as `--app` it is chosen anywhere."""


def app_directory(settings: Settings, *, current: Path | None = None) -> Path | None:
    """Return the app to run: the one given, else the current directory if it is one.

    None is the bundled app.
    """
    if settings.app == BUNDLED:
        return None
    if settings.app:
        return Path(settings.app).expanduser().resolve()
    here = (current or Path.cwd()).resolve()
    return here if is_app(here) else None


def home_directory(settings: Settings, app: Path | None) -> Path:
    """Return the folder of an app's state, made private to the user if it is new."""
    base = Path(settings.home).expanduser() if settings.home else _data_directory()
    name = BUNDLED if app is None else _app_name(app)
    home = (base / name).resolve()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(home, 0o700)
    return home


def _data_directory() -> Path:
    return Path(platformdirs.user_data_dir("micro-agi", appauthor=False))


def _app_name(app: Path) -> str:
    digest = hashlib.sha256(str(app).encode()).hexdigest()[:12]
    return f"{app.name}-{digest}"


class Trust:
    """Whether a person trusts an app exactly as it is now. Nothing of it runs before that."""

    def __init__(self, database: Database, app: Path, *, always: bool) -> None:
        """Take the app's directory; `always` is for the one that comes with the package."""
        self._database = database
        self._app = app
        self._always = always
        self._permitted = False

    @property
    def given(self) -> bool:
        """Whether it is trusted; reads all of the app."""
        return self._always or bool(recall(self._database, self._key))

    def give(self) -> None:
        """Remember that a person trusts the app as it is now."""
        remember(self._database, self._key, "yes")

    def require(self) -> None:
        """Refuse to run anything of an app that nobody has trusted as it is now.

        Raises: PolicyDenied.
        """
        if not self.given:
            raise PolicyDenied(
                "this app is not trusted, or it changed since it was",
                where=str(self._app),
                fix="read it, then say yes when asked, or start with --yes",
            )

    def permit(self) -> None:
        """Refuse as `require` does, but look only until it was allowed once."""
        if not self._permitted:
            self.require()
            self._permitted = True

    @property
    def _key(self) -> str:
        return f"trust:{content_hash(self._app)}"


def remember(database: Database, key: str, value: str) -> None:
    """Keep one fact of this home."""
    query = "INSERT OR REPLACE INTO facts(key, value) VALUES (?, ?)"
    database.write_now(lambda db: db.execute(query, (key, value)))


def recall(database: Database, key: str) -> str:
    """Return a fact that was kept, or ""."""
    query = "SELECT value FROM facts WHERE key = ?"
    row = database.read_now(lambda db: db.execute(query, (key,)).fetchone())
    return str(row[0]) if row else ""


def record_proof(database: Database, escaped: Mapping[str, Sequence[str]]) -> None:
    """Remember what escaped at each isolation level that was proved; none switches it on again."""
    known = switched_off(database)
    for level, attacks in escaped.items():
        known.pop(level, None)
        if attacks:
            known[level] = ", ".join(attacks)
    remember(database, PROOF, json.dumps(known, sort_keys=True))


def switched_off(database: Database) -> dict[str, str]:
    """Return the isolation levels that failed their last proof here, and what escaped."""
    return dict(json.loads(recall(database, PROOF) or "{}"))


def new_session_id() -> str:
    """Return a new session id: sortable by time, unique among all processes."""
    return uuid.uuid4().hex[:12]
