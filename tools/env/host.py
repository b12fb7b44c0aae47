# SPDX-License-Identifier: GPL-2.0
"""Installs the few commands that the host needs; the other tools are in the root file system."""

import glob
import os
import shutil
import subprocess

from report import Failure, say

# The Debian package of each command.
_COMMANDS = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "du": "coreutils"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Keys of trixie's archive. It is signed with those of bookworm too, which are all that the keyring
# package of Debian 12.0 and of Ubuntu 24.04 has.
_KEYS = ["/usr/share/keyrings/debian-archive-trixie-*",
         "/usr/share/keyrings/debian-archive-bookworm-*"]


def _missing():
    packages = {package for command, package in _COMMANDS.items() if not shutil.which(command)}
    if not os.path.exists(KEYRING) or not any(map(glob.glob, _KEYS)):
        packages.add("debian-archive-keyring")
    return sorted(packages)


def check():
    """Fails if no guest can be started here, by this user."""
    if os.uname().machine != "x86_64":
        raise Failure(f"this environment needs an x86_64 machine, not {os.uname().machine}")
    if os.geteuid() != 0:
        raise Failure("the environment mounts file systems and needs root: run it with sudo")


def prepare():
    """Installs the missing packages if root; otherwise fails with the command that does so."""
    packages = _missing()
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"vfence: installing {' '.join(packages)}")
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        for argv in (["apt-get", "update", "--quiet", "--quiet"],
                     [*command, "--quiet", "--quiet"]):
            if subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=2,
                              check=False).returncode:
                raise Failure(f"'{' '.join(argv)}' failed: see above")
        packages = _missing()
    if packages:
        raise Failure(f"missing: {' '.join(packages)}; install with: sudo {' '.join(command)}")
    check()


def apt_proxies():
    """Returns the host's proxy settings for apt, as lines of its configuration."""
    dump = subprocess.run(["apt-config", "dump"], check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout
    return [line for line in dump.splitlines()
            if line.startswith(("Acquire::http::Proxy", "Acquire::https::Proxy"))
            and '""' not in line]

