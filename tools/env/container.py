# SPDX-License-Identifier: GPL-2.0
"""Builds the container image of Documentation/ci as its README says: `make test CONTAINER=1`.

buildah of Debian runs in a root file system of its own. The base image is made here, because no
registry is asked. The image then boots a guest, without network.
"""

import os
import re
import shlex
import subprocess
import tempfile

import build
import cache
import chroot
import example
import ktap
import mirror
import root
import tutorial
from report import Failure, Step

_PAGE = os.path.join(build.CHECKOUT, "Documentation", "ci", "README.md")
_SECTION = "## A container image with everything"
_PACKAGES = ["buildah", "ca-certificates", "netavark"]
# buildah with a storage that works on every file system and without a daemon. A container cannot
# have higher limits than this process, which may itself be in one.
_BUILDAH = r"""
storage="--root $1 --runroot $1/run --storage-driver vfs"
shift
if [ "$1" = build ]; then
    shift
    set -- build --isolation chroot --ulimit nofile=$(ulimit -Sn):$(ulimit -Hn) \
        --ulimit nproc=$(ulimit -Su):$(ulimit -Hu) --build-arg BASE=localhost/base "$@"
fi
exec buildah $storage "$@"
"""
_BASE = "FROM scratch\nCOPY . /\n"
_MOUNT = 'container=$(buildah from --pull-never localhost/vfence) && buildah mount "$container"'


def commands(page):
    """Returns the commands of the README: those that build the image, and the one to run in it."""
    section = page[page.index(_SECTION):].split("\n## ")[0]
    found = re.findall(r"^(?: {4}.*\n)+", section, re.M)
    if len(found) != 2:
        raise Failure(f"'{_SECTION}' has {len(found)} blocks of commands instead of 2")
    return [re.sub(r"^ {4}", "", block, flags=re.M).strip() for block in found]


def _stage():
    return cache.stage("root_buildah", {"suite": root.SUITE, "packages": _PACKAGES},
                       lambda directory, log: root.make(directory, log, root.SUITE, _PACKAGES,
                                                        mirror.lines(root.SUITE)),
                       "Debian with buildah")


def _install_buildah(scratch, base):
    """Writes the command `buildah`, which sees `scratch` and the root file system `base`."""
    storage = os.path.join(scratch, "storage")
    argv = chroot.argv(["bash", "-c", _BUILDAH, "buildah", storage], lower=_stage(),
                       cwd=os.path.join(scratch, "repository"),
                       binds=[(scratch, scratch), (base, "/base")])
    os.makedirs(os.path.join(scratch, "bin"))
    path = os.path.join(scratch, "bin", "buildah")
    with open(path, "w") as text:
        text.write(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
    os.chmod(path, 0o755)
    with open(os.path.join(scratch, "base"), "w") as text:
        text.write(_BASE)


class _Steps:
    """Runs commands one after the other; each is a result of the suite."""

    def __init__(self, suite, scratch):
        self._suite = suite
        self._cwd = os.path.join(scratch, "repository")
        self._env = {**os.environ, "PATH": f"{scratch}/bin:{os.environ['PATH']}",
                     "VFENCE_CACHE": cache.directory()}

    def run(self, name, command):
        """Runs `command`, a list or a script of bash; returns its output, or None if it failed."""
        argv = ["bash", "-ec", command] if isinstance(command, str) else command
        done = subprocess.run(argv, cwd=self._cwd, env=self._env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        output = done.stdout.decode(errors="replace")
        self._suite.output += output + done.stderr.decode(errors="replace")
        if done.returncode:
            self._suite.fail(name, f"exit status {done.returncode}")
            return None
        self._suite.results.append(ktap.Result(name, "passed"))
        return output


def _test(suite, scratch):
    with open(_PAGE) as text:
        image, run = commands(text.read())
    example.copy_checkout(os.path.join(scratch, "repository"))
    _install_buildah(scratch, tutorial.base())
    steps = _Steps(suite, scratch)
    if steps.run("base", f"buildah build --file {scratch}/base --tag localhost/base /base") is None:
        return
    if steps.run("image", image) is None:
        return
    where = steps.run("mount", _MOUNT)
    if where is None:
        return
    # The image sets these, and the command of the page names a program of the reader.
    run = run.replace("./my-test", "ls /dev/vfence")
    command = chroot.argv(["unshare", "--net", "sh", "-c", run], lower=where.strip(), cwd="/root",
                          env={"VFENCE_CACHE": "/var/cache/vfence"})
    output = steps.run("guest", command)
    if output is not None and output.strip() != "/dev/vfence":
        suite.fail("device", "the guest has no /dev/vfence")


def suites():
    """Yields the suite of the container image."""
    suite = ktap.Suite("container")
    with tempfile.TemporaryDirectory(prefix="vfence-container-", dir=example.SCRATCH) as scratch, \
            Step("building the container image"):
        try:
            _test(suite, scratch)
        except Failure as failure:
            suite.fail("run", str(failure))
    yield suite
