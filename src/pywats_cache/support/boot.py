"""What names this run of a Windows machine, the same for all its processes; Linux says so in a file."""

from __future__ import annotations

import hashlib
import os
import sys

__all__ = ["windows_boot"]

_NUMBER = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"
_MACHINE = r"SOFTWARE\Microsoft\Cryptography"


def windows_boot() -> bytes | None:
    """16 bytes, made of the number of the boot and of what names the machine; None where the system does not say.

    Should two boots have one name, an age may be found larger than it is, never smaller.
    """
    if sys.platform != "win32":
        return None
    import winreg

    found = [os.environ.get("COMPUTERNAME", "")]
    try:
        for path, name in ((_NUMBER, "BootId"), (_MACHINE, "MachineGuid")):
            access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path, 0, access) as key:
                found.append(str(winreg.QueryValueEx(key, name)[0]))
    except OSError:
        return None
    return hashlib.sha256("\n".join(found).encode("utf-8", "replace")).digest()[:16]
