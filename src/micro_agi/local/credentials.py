"""Tell by its name whether a file usually holds a credential.

One list for the file tools and for the rules of the shell. It is a courtesy to people who
keep keys beside their work, not a boundary: what must stay secret does not belong into a
workspace. Words count, not letters: `tokenizer.py` and `monkey.py` are nobody's secret.

Source: spec/local-agent.md 2.6, 5 (W11), 7.5.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

DIRECTORIES = frozenset({".ssh", ".aws", ".gnupg", ".kube", ".azure", ".gcloud", ".docker"})
NAMES = frozenset(
    {
        *(".netrc", "_netrc", ".pgpass", ".npmrc", ".pypirc", ".htpasswd", ".git-credentials"),
        *(".vault-token", ".my.cnf", ".s3cfg", ".boto", ".dockercfg", "shadow", "gshadow"),
    }
)
PATTERNS = (
    *(".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore"),
    *("*.kdbx", "*.ppk", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
)
EXAMPLES = ("*.example", "*.sample", "*.template", "*.dist", "*.pub")
WORDS = frozenset(
    {
        *("secret", "secrets", "credential", "credentials", "password", "passwords", "passwd"),
        *("token", "tokens", "apikey", "privatekey"),
    }
)
CODE = (
    *(".py", ".pyi", ".js", ".ts", ".jsx", ".tsx", ".go", ".rs", ".c", ".h", ".cc", ".cpp"),
    *(".java", ".kt", ".rb", ".php", ".lua", ".sh", ".sql", ".md", ".rst", ".html", ".css"),
)
"""Source and prose may speak of passwords: these words count in other files."""
GIT = frozenset({".git", ".hg", ".svn"})
"""Remote addresses with passwords are in there, and hooks that run later without a sandbox."""


def credential_like(parts: Sequence[str]) -> str:
    """Return which part of a path looks like a credential, or "".

    >>> credential_like(("config", "prod.env")), credential_like(("src", "tokenizer.py"))
    ('prod.env', '')
    """
    for directory in parts[:-1]:
        if directory.lower() in DIRECTORIES:
            return directory
    return parts[-1] if parts and _name_like(parts[-1].lower(), parts[-1]) else ""


def in_version_control(parts: Sequence[str]) -> str:
    """Return the directory of a version control system that a path is in, or ""."""
    return next((part for part in parts if part.lower() in GIT), "")


def _name_like(name: str, written: str) -> bool:
    if any(fnmatchcase(name, pattern) for pattern in EXAMPLES):
        return False
    if name in NAMES | DIRECTORIES or any(fnmatchcase(name, pattern) for pattern in PATTERNS):
        return True
    if name.endswith(CODE):
        return False
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", written)
    return any(word.lower() in WORDS for word in words)
