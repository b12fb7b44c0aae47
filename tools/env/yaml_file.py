# SPDX-License-Identifier: GPL-2.0
"""Reads a YAML file with PyYAML, which is in a small root file system of its own."""

import json
import subprocess

import cache
import chroot
import mirror
import root
from report import Failure

_PACKAGES = ["python3-yaml"]
# A plain `on` is a boolean in YAML 1.1. No file here asks for its value.
_PROGRAM = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout, default=str)"


def _stage():
    return cache.stage("root_yaml", {"suite": root.SUITE, "packages": _PACKAGES},
                       lambda directory, log: root.make(directory, log, root.SUITE, _PACKAGES,
                                                        mirror.lines(root.SUITE)),
                       "Debian with PyYAML")


def read(path):
    """Returns the content of the YAML file `path`."""
    try:
        with open(path, "rb") as text:
            content = text.read()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    done = subprocess.run(chroot.argv(["python3", "-c", _PROGRAM], lower=_stage()), input=content,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise Failure(f"{path}: {lines[-1] if lines else 'not YAML'}")
    return json.loads(done.stdout)
