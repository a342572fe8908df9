"""Secrets at rest: AES-256-GCM, the row's id as associated data."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tidings.core.errors import StartupError

_NONCE_BYTES = 12  # NIST SP 800-38D, section 8.2: 96 bits, random
MAX_KEY_FILE_BYTES = 4096


class SecretBox:
    """Encrypts and decrypts under one key."""

    def __init__(self, secret_key: str) -> None:
        digest = hashlib.sha256(b"tidings secrets " + secret_key.encode()).digest()
        self._cipher = AESGCM(digest)
        self.subject_key = hashlib.sha256(b"tidings subjects " + secret_key.encode()).digest()
        self.cursor_key = hashlib.sha256(b"tidings cursors " + secret_key.encode()).digest()
        self.fingerprint = hashlib.sha256(b"tidings fingerprint " + secret_key.encode()).hexdigest()[:16]

    def seal(self, secret: str, owner: UUID) -> bytes:
        """Return the secret encrypted; only `open` with the same owner gives it back."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), owner.bytes)

    def open(self, sealed: bytes, owner: UUID) -> str:
        """Return the secret.

        Raises:
            StartupError: It was sealed under another key, or for another owner.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.bytes).decode()
        except (InvalidTag, ValueError) as error:
            raise StartupError(
                f"The secret of {owner} cannot be decrypted: SECRET_KEY is not the one it was encrypted under."
            ) from error


def find_key(path: Path) -> str | None:
    """Return the key in a file; None where there is no file.

    Raises:
        StartupError: It cannot be read, or is none.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # nobody may ever write into a pipe
            content = file.read(MAX_KEY_FILE_BYTES + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartupError(f"The secret key {path} cannot be read ({error.strerror}). Set TIDINGS_SECRET_KEY.") from error
    try:
        key = "" if content is None or len(content) > MAX_KEY_FILE_BYTES else content.decode().strip()
    except UnicodeDecodeError:
        key = ""
    if not key or "\0" in key:  # under an empty one nothing would be secret
        raise StartupError(
            f"The secret key {path} is empty, or no key. Bring the copy of it there, or set TIDINGS_SECRET_KEY; where nothing "
            f"is encrypted yet, remove it, and it is made anew."
        )
    return key


def load_or_make_key(path: Path) -> str:
    """Return the key in a file, made at the first call and readable by its owner only.

    Raises:
        StartupError: The file can be neither read nor made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with _draft(path, os.urandom(32).hex()) as draft, suppress(FileExistsError):
                os.link(draft, path)
        key = find_key(path)
    except OSError as error:
        raise StartupError(
            f"The secret key {path} can be neither read nor made ({error.strerror}). Set TIDINGS_SECRET_KEY."
        ) from error
    if key is None:
        raise StartupError(f"The secret key {path} can be neither read nor made (it leads nowhere). Set TIDINGS_SECRET_KEY.")
    return key


def replace_key(path: Path, secret_key: str) -> None:
    """Write another key into the file, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with _draft(path, secret_key) as draft:
        draft.replace(path)


@contextmanager
def _draft(path: Path, secret_key: str) -> Iterator[Path]:
    """Write a key whole under another name, to be given its own by the block: nobody ever reads half a key there.

    It is on the disk before the block begins, and under its name when the block ends: what is encrypted under it is in a
    database that outlives a loss of power.
    """
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)  # of a process that had our number, and may be open to everybody
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret_key)
            file.flush()
            os.fsync(file.fileno())
        yield draft
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)
