"""Certificates for one test: an authority, a server and a client that it has signed, and a stranger."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CLIENT_PASSWORD = "hunter2"


def make_certificates(directory: Path) -> Path:
    """Files `ca.crt`, `server.crt`, `server.key`, `client.crt`, `client.key` and `client.pem`: an encrypted key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=60)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=authority")
    (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("server", "client"):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.crt", "-days", "2", "-extfile", "names")  # fmt: skip
    openssl("ec", "-in", "client.key", "-aes128", "-passout", f"pass:{CLIENT_PASSWORD}", "-out", "client.pem")
    return directory
