"""The file of a configuration: read without guessing, and changed as a whole or not at all.

- A change is written beside the file, synced, and put in its place; what was there becomes the backup, `….json.bak`.
  The file is there at any moment; its mode, its owner, its line ends and the links that lead to it stay.
- Whoever changes it here holds a lock. Other programs (an editor, the SDK's) know nothing of that, so the file is read
  once more right before it is replaced; if it has changed, the change is made anew, to what it is now.
- A file that is no JSON object is never written over by a change, and what is wrong with it is said with its line. Of
  what is in it nothing is repeated: there is a token in it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigurationError, ConfigurationTypeError
from ...support.showing import shown, shown_path
from .file_lock import locked

__all__ = ["ConfigFile", "backup_of", "change_config", "create_config", "read_config", "replace_config"]

_ATTEMPTS = 20
_BUSY_PAUSE = 0.05
_MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file as it was read.

    - `path`: the file itself, links followed.
    - `twice`: the names that it has more than once, of which the last one counts.
    """

    path: Path
    raw: bytes
    document: dict[str, Any]
    twice: tuple[str, ...]


def backup_of(path: Path) -> Path:
    """Where the SDK and we keep what the file was before its last change."""
    return path.with_name(path.name + ".bak")


def read_config(path: Path) -> ConfigFile:
    """Read the file at `path`.

    Raises FileNotFoundError where there is none; ConfigurationError, that says where and what to do, for one that is
    broken, and ConfigurationTypeError for JSON that is no object; OSError for one that cannot be read.
    """
    real = _real(path)
    raw = _read_bytes(real)
    twice: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return found

    called = shown_path(real, "the configuration file")
    try:
        document = json.loads(_text(raw, called), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        where = "it is empty" if not raw.strip() else f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise ConfigurationError(f"{called} is no JSON ({where}). {_advice(real)}") from None
    except RecursionError:
        raise ConfigurationError(f"{called} is nested too deeply. {_advice(real)}") from None
    if not isinstance(document, dict):
        raise ConfigurationTypeError(
            f"the configuration must be a JSON object, not a {type(document).__name__}: {called}. {_advice(real)}"
        )
    return ConfigFile(real, raw, document, tuple(twice))


def _text(raw: bytes, called: str) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigurationError(
            f"{called} is UTF-16, as PowerShell's > writes it: save it as UTF-8 (Out-File -Encoding utf8)"
        )
    try:
        return raw.decode("utf-8-sig")  # Windows' editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{called} is not UTF-8 (line {line}): save it as UTF-8") from None


def _advice(real: Path) -> str:
    backup = backup_of(real)
    told = "Mend it, or write it anew with `pywats-cache config sample`"
    if backup.exists():
        return f"{told}; {shown_path(backup, 'its backup')} is what it was before its last change"
    return told


def _read_bytes(real: Path) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(real).st_mode):
            raise ConfigurationError(f"{shown_path(real, 'the configuration file')} is no file")
        with open(real, "rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        hint = "there is no such file; `pywats-cache config sample --to FILE` makes one"
        raise FileNotFoundError(errno.ENOENT, hint, str(real)) from error
    if len(raw) > _MAX_BYTES:
        raise ConfigurationError(f"{shown_path(real, 'the configuration file')} is larger than {_MAX_BYTES} bytes")
    return raw


def _real(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        raise ConfigurationError(f"{shown(str(path))} cannot be a path of a file") from None


def change_config(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> tuple[ConfigFile, ConfigFile]:
    """Change the file: `change` makes the new document of the old one, which it must not alter. Before, and after.

    Whatever `change` raises leaves the file as it is. It may be called again, with what another program has made of
    the file in the meantime. Raises what `read_config` raises; ConfigurationError too where the file has a name twice,
    for one of them would be lost, where it cannot be written, or is changed by others all the time.
    """
    real = _real(path)
    with _explained(real), locked(real):
        for _ in range(_ATTEMPTS):
            before = read_config(real)
            if before.twice:
                names = ", ".join(map(shown, before.twice))
                raise ConfigurationError(
                    f"{shown_path(real, 'the configuration file')} has {names} twice: remove one of them"
                )
            document = change(before.document)
            raw = _rendered(document, before.raw)
            after = ConfigFile(real, raw, document, ())
            if _rendered(before.document, before.raw) == raw:
                return before, before
            if _put(real, raw, before.raw):
                return before, after
    raise ConfigurationError(
        f"{shown_path(real, 'the configuration file')} is being changed by another program: try again"
    )


def create_config(path: Path, document: dict[str, Any] | str) -> None:
    """Write a file where there is none, readable by its owner only. Raises ConfigurationError where there is one."""
    real = _real(path)
    text = document if isinstance(document, str) else _rendered(document, b"").decode("utf-8")
    with _explained(real):
        try:
            descriptor = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        except FileExistsError:
            raise ConfigurationError(
                f"{shown_path(real, 'the file')} is there already, and is left as it is: name another one"
            ) from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            _removed(str(real))  # half of it would be a broken one
            raise


def replace_config(path: Path, document: dict[str, Any]) -> None:
    """Write the whole file, whatever it was. One that was broken is kept beside it, as `….json.broken`."""
    real = _real(path)
    real.parent.mkdir(parents=True, exist_ok=True)
    with _explained(real), locked(real):
        for _ in range(_ATTEMPTS):
            try:
                old = _read_bytes(real)
            except FileNotFoundError:
                try:
                    create_config(real, document)
                except ConfigurationError:
                    if real.exists():
                        continue  # it has just been made
                    raise
                return
            if _put(real, _rendered(document, old), old):
                return
    raise ConfigurationError(
        f"{shown_path(real, 'the configuration file')} is being changed by another program: try again"
    )


def _rendered(document: dict[str, Any], like: bytes) -> bytes:
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold
        raw = (json.dumps(document, indent=2) + "\n").encode("ascii")
    return raw.replace(b"\n", b"\r\n") if b"\r\n" in like else raw


def _put(real: Path, raw: bytes, old: bytes) -> bool:
    """Replace the file, which was `old` when it was read. False: it is not any more."""
    status = os.stat(real)
    if not os.access(real, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only", str(real))
    made = _written(real, raw, status)
    try:
        kept = _written(real, old, status)
        try:
            _moved(kept, backup_of(real) if _is_object(old) else real.with_name(real.name + ".broken"))
        except BaseException:
            _removed(kept)
            raise
        if _read_bytes(real) != old:
            _removed(made)
            return False
        _moved(made, real)
    except BaseException:
        _removed(made)
        raise
    _sync_directory(real.parent)
    return True


def _is_object(raw: bytes) -> bool:
    try:
        return isinstance(json.loads(raw.decode("utf-8-sig")), dict)
    except (ValueError, RecursionError):
        return False


def _written(real: Path, raw: bytes, like: os.stat_result) -> str:
    """A new file beside `real`, on the disk, with the mode and owner that `like` has."""
    descriptor, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".tmp", dir=real.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        if os.name == "posix":
            with contextlib.suppress(PermissionError):  # only root may give a file away
                os.chown(name, like.st_uid, like.st_gid)
            os.chmod(name, stat.S_IMODE(like.st_mode))
    except BaseException:
        _removed(name)
        raise
    return name


def _moved(source: str, target: Path) -> None:
    for left in range(4, -1, -1):
        try:
            os.replace(source, target)
        except PermissionError:
            # Windows lets no file be replaced while another program reads it, which takes a moment only.
            if not left:
                raise
            time.sleep(_BUSY_PAUSE)
        else:
            return


def _removed(name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name)


def _sync_directory(folder: Path) -> None:
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some file systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _explained(real: Path) -> Iterator[None]:
    """Let an error of the disk say what to do."""
    try:
        yield
    except FileNotFoundError:
        if real.parent.exists():
            raise
        raise ConfigurationError(f"there is no directory {shown_path(real.parent, 'of that name')}: make it") from None
    except TimeoutError as error:
        raise ConfigurationError(str(error)) from None
    except OSError as error:
        what = shown_path(real, "the configuration file")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            told = (
                f"{what} cannot be changed ({error.strerror}): let whoever runs this write the file and its directory"
            )
        else:
            told = f"{what} cannot be changed: {error.strerror or type(error).__name__}"
        raise ConfigurationError(f"{told}. It is as it was") from None
