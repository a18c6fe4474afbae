"""What differs under Windows, within a process of another system: for the modules of this project and its tests only.

`install()` comes before anything of the project is imported, and is not undone:

- *modules*: an import of `os`, `sys`, `time`, `signal` or `socket` in the project gets one that has what Windows has;
  `fcntl` and its like cannot be imported. The standard library and other packages keep theirs.
- *files*: no file that is open or mapped, in this process or another one of the run, can be renamed, removed, replaced
  or cut. That is refused by an audit hook, so pathlib, shutil and the tests themselves meet it too.
- *clocks* move in steps of 15.625 ms.
- *processes*: no fork; `multiprocessing` starts them by `spawn`. A Python started by the run is simulated too.
- *event loops* know neither `add_signal_handler` nor `add_reader`.

What SQLite does by itself (it removes its log when the last connection closes) and what other packages do is not met.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import errno
import importlib
import math
import multiprocessing
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

STEP = 1 / 64
"""Seconds between two ticks of the clocks."""
TESTS = Path(__file__).resolve().parents[2]
OURS = ("pywats_cache", "_pywats_cache_pytest", "wats_simulator")
ROOT = "PYWATS_CACHE_WINDOWS_ROOT"
"""The process whose children are simulated with it."""
MISSING_MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "posix", "pty", "syslog")
MISSING: dict[str, tuple[str, ...]] = {
    "os": (
        *("fork", "forkpty", "register_at_fork", "wait", "waitid", "WNOHANG", "setsid", "killpg", "mkfifo", "mknod"),
        *("getuid", "geteuid", "getgid", "getegid", "getgroups", "setuid", "getpgid", "uname", "nice", "getloadavg"),
        *("fchmod", "fchown", "chown", "lchown", "chroot", "lockf", "pread", "pwrite", "sched_getaffinity", "sync"),
        *("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_SYNC", "O_NOCTTY", "fdatasync", "posix_fallocate"),
        *("memfd_create", "posix_spawn", "statvfs", "fpathconf", "pathconf", "sysconf", "ftruncate_locked", "eventfd"),
    ),
    "sys": (),
    "time": ("clock_gettime", "clock_gettime_ns", "CLOCK_BOOTTIME", "CLOCK_MONOTONIC", "CLOCK_REALTIME", "tzset"),
    "signal": (
        *("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGCONT"),
        *("alarm", "setitimer", "pause", "pthread_kill", "pthread_sigmask", "sigwait", "siginterrupt"),
    ),
    "socket": ("AF_UNIX", "SO_REUSEPORT", "SO_PEERCRED", "CMSG_LEN"),
}
OF_LINUX = ("/proc/sys/kernel/random/boot_id",)
"""What the project asks of Linux."""
ALLOWED_SIGNALS = ("SIGINT", "SIGTERM", "SIGABRT", "SIGFPE", "SIGILL", "SIGSEGV")

own_doing: Callable[[str], object] | None = None
"""Told of what a test does itself and Windows does not let it; None: it gets the error, as everyone else."""
is_installed = False


# ── modules ───────────────────────────────────────────────────────────────────────────────────────────────────────


class _Windows(ModuleType):
    """A module of the standard library, with what is different of it."""

    def __init__(self, name: str, /, **different: Any) -> None:
        super().__init__(name)
        self.__dict__["_real"] = sys.modules[name]
        self.__dict__.update(different)

    def __getattr__(self, name: str) -> Any:
        module = self.__dict__["__name__"]
        if name in MISSING.get(module, ()):
            _by_a_test(sys._getframe(1), f"Windows has no {module}.{name}")
            raise AttributeError(f"module {module!r} has no attribute {name!r} under Windows")
        return getattr(self.__dict__["_real"], name)


def _rough(clock: Callable[[], float]) -> Callable[[], float]:
    return lambda: math.floor(clock() / STEP) * STEP


def _rough_ns(clock: Callable[[], float]) -> Callable[[], int]:
    return lambda: int(math.floor(clock() / STEP) * STEP * 1_000_000_000)


def _rename(source: Any, destination: Any, **options: Any) -> None:
    """Unlike `os.rename` elsewhere, it never replaces a file."""
    if os.path.lexists(destination):
        # Not all systems tell the two apart in one step, but a link is refused where something is.
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", os.fspath(source))
    if os.path.isdir(source):
        os.rename(source, destination, **options)
        return
    _refuse_in_use("os.rename", os.fspath(source), 32)
    os.link(source, destination)
    _within.yes = True  # for Windows it is one step, between whose halves nobody opens the file
    try:
        os.unlink(source)
    finally:
        _within.yes = False


def _signal(number: int, handler: Any) -> Any:
    allowed = {getattr(signal, name) for name in ALLOWED_SIGNALS} | {signal.SIGUSR2}
    if number not in allowed:
        raise ValueError("invalid signal value")
    return signal.signal(number, handler)


def _different() -> dict[str, ModuleType]:
    return {
        "os": _Windows("os", name="nt", rename=_rename, O_BINARY=0),
        "sys": _Windows("sys", platform="win32"),
        "time": _Windows(
            "time",
            time=_rough(time.time),
            monotonic=_rough(time.monotonic),
            time_ns=_rough_ns(time.time),
            monotonic_ns=_rough_ns(time.monotonic),
        ),
        # What a console sends at Ctrl+Break, and when it is closed. A test sends SIGUSR2 instead.
        "signal": _Windows("signal", SIGBREAK=signal.SIGUSR2, signal=_signal),
        "socket": _Windows("socket"),
    }


def _is_ours(importer: Any) -> bool:
    if not importer:
        return False
    name = importer.get("__name__", "")
    if name.partition(".")[0] in OURS:
        return True
    file = importer.get("__file__") or ""
    return file.startswith(str(TESTS)) and not file.startswith(str(TESTS / "windows" / "system"))


def _msvcrt() -> ModuleType:
    """Its locks of a part of a file, each of which belongs to whoever opened it: here of the whole file."""
    import fcntl

    module = ModuleType("msvcrt")
    module.LK_LOCK, module.LK_NBLCK, module.LK_UNLCK = 1, 2, 0  # type: ignore[attr-defined]

    def locking(descriptor: int, mode: int, _length: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if mode else fcntl.LOCK_UN)
        except OSError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    module.locking = locking  # type: ignore[attr-defined]
    return module


def _winreg() -> ModuleType:
    """The registry, with what the project reads of it."""
    module = ModuleType("winreg")
    values = {"BootId": 57, "MachineGuid": "6f1c0f9e-2d52-4c54-9c5b-0c7f5e0c8a11"}

    def query(_key: Any, name: str) -> tuple[Any, int]:
        if name not in values:
            raise FileNotFoundError(errno.ENOENT, "The system cannot find the file specified")
        return values[name], 1

    for name in ("HKEY_LOCAL_MACHINE", "KEY_READ", "KEY_WOW64_64KEY"):
        setattr(module, name, 0)
    module.values = values  # type: ignore[attr-defined]
    module.OpenKey = lambda *_arguments: contextlib.nullcontext()  # type: ignore[attr-defined]
    module.QueryValueEx = query  # type: ignore[attr-defined]
    return module


def _divert_imports() -> None:
    real, real_module = builtins.__import__, importlib.import_module
    different = {**_different(), "msvcrt": _msvcrt(), "winreg": _winreg()}

    def diverted(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if not level and _is_ours(globals):
            if name in different:
                return different[name]
            if name in MISSING_MODULES:
                raise ModuleNotFoundError(f"No module named {name!r} under Windows", name=name)
        return real(name, globals, locals, fromlist, level)

    def diverted_module(name: str, package: str | None = None) -> ModuleType:
        importer = sys._getframe(1).f_globals
        if _is_ours(importer) and (name in different or name in MISSING_MODULES):
            return diverted(name, importer)
        return real_module(name, package)

    builtins.__import__ = diverted
    importlib.import_module = diverted_module


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def family() -> Iterator[int]:
    """The processes of this run: the first, and all that it started."""
    todo = [int(os.environ.get(ROOT, os.getpid()))]
    seen = set()
    while todo:
        process = todo.pop()
        if process in seen:
            continue
        seen.add(process)
        yield process
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                todo += map(int, Path(f"/proc/{process}/task/{thread}/children").read_text("ascii").split())
        except OSError:
            pass
    if os.getpid() not in seen:
        yield os.getpid()


def _number(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def who_has_open(path: str) -> int | None:
    """A process of this run that has the file open, under whichever of its names, or mapped; None: nobody."""
    wanted = _number(path)
    if wanted is None:
        return None
    for process in family():
        try:
            descriptors = os.listdir(f"/proc/{process}/fd")
        except OSError:
            continue
        if any(_number(f"/proc/{process}/fd/{one}") == wanted for one in descriptors):
            return process
        if _is_mapped(path, process):
            return process
    return None


def _is_mapped(path: str, process: int) -> bool:
    try:
        lines = Path(f"/proc/{process}/maps").read_bytes().splitlines()
        return any(line.endswith(b" " + os.fsencode(os.path.realpath(path))) for line in lines)
    except OSError:
        return False


def _refusal(number: int, path: str) -> OSError:
    texts = {
        5: (errno.EACCES, "Access is denied"),
        32: (errno.EACCES, "The process cannot access the file because it is being used by another process"),
        1224: (errno.EINVAL, "The requested operation cannot be performed on a file with a user-mapped section open"),
    }
    code, text = texts[number]
    error = OSError(code, text, path)
    error.winerror = number  # type: ignore[attr-defined]
    return error


def _refuse_in_use(what: str, path: str, number: int) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        inside = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    else:
        inside = [path]
    for one in inside:
        if who_has_open(one) is not None:
            _by_a_test(sys._getframe(1), f"Windows refuses {what} of a file that is open")
            raise _refusal(number, path)


def _named(path: Any, directory: int = -1) -> str | None:
    if isinstance(path, int):
        return None
    name = os.fsdecode(path)
    return os.path.join(os.readlink(f"/proc/self/fd/{directory}"), name) if directory >= 0 else name


def _on_remove(path: Any, directory: int) -> None:
    name = _named(path, directory)
    if name is not None:
        _refuse_in_use("the removal", name, 32)


def _on_rename(source: Any, destination: Any, _from: int, _to: int) -> None:
    _refuse_in_use("the renaming", os.fsdecode(source), 32)
    _refuse_in_use("the replacement", os.fsdecode(destination), 5)


def _on_truncate(path: Any, _length: int) -> None:
    if isinstance(path, int):  # by who has it open: only what is mapped cannot be cut
        path = os.readlink(f"/proc/self/fd/{path}")
        if any(_is_mapped(path, process) for process in family()):
            raise _refusal(1224, path)
    else:
        _refuse_in_use("the cutting", os.fsdecode(path), 32)


def _on_open(path: Any, _mode: Any, flags: int) -> None:
    if str(path) in OF_LINUX:
        raise FileNotFoundError(errno.ENOENT, "The system cannot find the path specified", str(path))
    if not isinstance(flags, int) or not flags & os.O_TRUNC or isinstance(path, int) or path is None:
        return
    name = os.fsdecode(path)
    if os.path.isfile(name) and any(_is_mapped(name, process) for process in family()):
        _by_a_test(sys._getframe(1), "Windows refuses to cut off a file that is mapped")
        raise _refusal(1224, name)


def _on_fork() -> NoReturn:
    _by_a_test(sys._getframe(1), "Windows has no fork")
    raise OSError(errno.ENOSYS, "Windows has no fork")


_AUDITED: dict[str, Callable[..., object]] = {
    "os.remove": _on_remove,
    "os.rename": _on_rename,
    "os.truncate": _on_truncate,
    "open": _on_open,
    "os.fork": _on_fork,
    "os.forkpty": _on_fork,
}


_within = threading.local()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    check = _AUDITED.get(event)
    if check is None or getattr(_within, "yes", False):
        return
    _within.yes = True
    try:
        check(*arguments)
    finally:
        _within.yes = False


def _by_a_test(frame: FrameType | None, message: str) -> None:
    """Tell `own_doing` where the code that asked is a test's own."""
    while frame is not None and (
        frame.f_code.co_filename == __file__
        or not frame.f_code.co_filename.startswith((str(TESTS), str(TESTS.parent / "src")))
    ):
        frame = frame.f_back
    if own_doing is None or frame is None:
        return
    file = frame.f_code.co_filename
    if file.startswith(str(TESTS)) and not file.startswith(str(TESTS / "windows")):
        own_doing(message)


# ── processes and loops ───────────────────────────────────────────────────────────────────────────────────────────


def _not_implemented(*_arguments: Any, **_options: Any) -> NoReturn:
    raise NotImplementedError


def install() -> None:
    """Begin, for this process and those that it starts."""
    global is_installed
    if is_installed:
        return
    is_installed = True
    here = str(Path(__file__).parent)
    os.environ.setdefault(ROOT, str(os.getpid()))
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if here not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, *paths]))
    multiprocessing.set_start_method("spawn", force=True)
    for name in ("add_signal_handler", "remove_signal_handler", "add_reader", "add_writer"):
        setattr(asyncio.SelectorEventLoop, name, _not_implemented)
    _divert_imports()
    sys.addaudithook(_audit)
