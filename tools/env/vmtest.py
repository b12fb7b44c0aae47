# SPDX-License-Identifier: GPL-2.0
"""The suite `vfence-vm`: the command runs a small project, and judges it as it must.

The project is a directory of its own, with a script that prints TAP. The guest's root file system
is that of the tools, or a container image that has only busybox.
"""

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
import typing
import xml.etree.ElementTree as xml

import build
import ktap
import root
import vm_kit
import vm_root
from report import Failure, Step

_COMMAND = os.path.join(build.CHECKOUT, "tools", "vfence-vm", "vfence-vm")
# Seconds; a busy machine emulates the guest slowly.
_LIMIT = 300
_REPORT = "report.xml"
_SCRIPT = """#!/bin/sh
case $1 in
pass)
    # The shell is the guest's, and the variable is not that of vfence-vm's script.
    case $(readlink /proc/$$/exe) in *busybox*) exit 3 ;; esac
    [ "$out" = host ] || exit 3
    echo '1..2'
    [ "$(id -u)" != 0 ] && [ -r /dev/vfence -a -w /dev/vfence ] && echo 'ok 1 node' || exit 3
    printf '#include <linux/vfence.h>\\nint x = VFENCE_IOCTL_TYPE;\\n' |
        gcc -c -x c -o /tmp/x.o - && echo 'ok 2 header' || exit 3
    ;;
share)
    cmp check /tmp/file && cmp check /tmp/.hidden/check || exit 3
    touch /tmp/.hidden/new 2> /dev/null && exit 3
    touch /srv/written && [ -e written ] && echo 'ok 1 share'
    ;;
image)
    [ "$IMAGE" = yes ] && tr '\\0' '\\n' < /proc/$$/environ | grep -qx 'a.b=1' || exit 3
    [ ! -e /usr/bin/env ] && [ -c /dev/vfence ] && echo 'ok 1 image'
    ;;
fail) echo 'not ok 1 fence'; exit 3 ;;
skip) echo 'ok 1 fence # SKIP no reason' ;;
log) echo '<4>WARNING: of the test' > /dev/kmsg; dmesg --clear; echo 'ok 1 fence' ;;
slow) sleep 100 & sleep 200 ;;
die) echo c > /proc/sysrq-trigger; sleep 100 ;;
esac
"""


class Case(typing.NamedTuple):
    """A run: the script's argument, options, and the exit status and a line that it must have.

    The options may contain `{project}`, the directory of the project.
    """
    argument: str
    options: list
    status: int
    line: str = ""


CASES = [
    Case("pass", ["--user", "render", "--param", "watchdog_ms=1500", "--env", "out=host",
                  "--junit", _REPORT], 0),
    Case("share", ["--share", "{project}/check:/tmp/file", "--share", "{project}:/tmp/.hidden:ro",
                   "--share", "{project}:/srv"], 0),
    Case("image", ["--oci", "{project}/image:small"], 0),
    Case("fail", [], 3),
    Case("skip", [], 1, "vfence-vm: every test was skipped"),
    Case("log", [], 1, r"vfence-vm: kernel log: .*WARNING: of the test"),
    Case("slow", ["--timeout", "3"], 124, "vfence-vm: the command did not end within"),
    Case("die", [], 125, "vfence-vm: the guest died: .*Kernel panic"),
    Case("parameter", ["--param", "no_such=1"], 125, "vfence-vm: .* no parameter no_such; it has:"),
]


def _blob(layout, kind, content):
    """Adds a blob to an OCI layout and returns its descriptor."""
    digest = hashlib.sha256(content).hexdigest()
    directory = os.path.join(layout, "blobs", "sha256")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, digest), "wb") as out:
        out.write(content)
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}",
            "size": len(content)}


def _make_image(layout):
    """Makes an OCI layout with the image `small`: busybox as sh and as other commands."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(os.path.join(root.path(), "usr/bin/busybox"), "bin/busybox")
        for name in ("sh", "tr", "grep"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    content = layer.getvalue()
    layers = [_blob(layout, "layer.v1.tar", content)]
    config = _blob(layout, "config.v1+json", json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/bin", "IMAGE=yes", "a.b=1"]},
        "rootfs": {"type": "layers", "diff_ids": [layers[0]["digest"]]}}).encode())
    manifest = _blob(layout, "manifest.v1+json", json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": layers}).encode())
    index = {"schemaVersion": 2, "manifests": [
        {**manifest, "annotations": {"org.opencontainers.image.ref.name": "small"}}]}
    for name, value in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
        with open(os.path.join(layout, name), "w") as out:
            json.dump(value, out)


def _report_problem(directory):
    """Returns what is wrong with the JUnit file of the case `pass`; None if it is right."""
    try:
        cases = [case.get("name") for case in
                 xml.parse(os.path.join(directory, _REPORT)).iter("testcase")]
    except (OSError, xml.ParseError) as error:
        return f"{_REPORT}: {error}"
    expected = ["node", "header", "command", "guest", "results"]
    return None if cases == expected else f"{_REPORT} has the cases {cases}"


def _problem(case, directory):
    """Runs `case` in `directory` and returns (what is wrong or None, the output)."""
    options = [word.replace("{project}", directory) for word in case.options]
    system = [] if "--oci" in options else ["--root", root.path()]
    words = [_COMMAND, "run", *system, *options, "--", "sh", "check", case.argument]
    try:
        done = subprocess.run(words, cwd=directory, stdin=subprocess.DEVNULL, timeout=_LIMIT,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except subprocess.TimeoutExpired as error:
        return f"did not end within {_LIMIT} s", (error.stdout or b"").decode(errors="replace")
    output = done.stdout.decode(errors="replace")
    if done.returncode != case.status:
        return f"exit status {done.returncode}, not {case.status}", output
    if case.line and not re.search(f"^{case.line}", output, re.MULTILINE):
        return f"no line '{case.line}'", output
    return (_report_problem(directory) if _REPORT in case.options else None), output


def suites():
    """Yields the suite."""
    suite = ktap.Suite("vfence-vm")
    with tempfile.TemporaryDirectory(prefix="vfence-project-") as directory, \
            Step("vfence-vm", f"{len(CASES)} runs"):
        try:
            # Not within the time limit of a run.
            vm_kit.stages("stock")
            vm_root.tools()
        except Failure as failure:
            suite.fail("stages", str(failure))
            yield suite
            return
        # The case `pass` runs as an ordinary user.
        os.chmod(directory, 0o755)
        path = os.path.join(directory, "check")
        with open(path, "w") as out:
            out.write(_SCRIPT)
        os.chmod(path, 0o755)
        _make_image(os.path.join(directory, "image"))
        for case in CASES:
            try:
                problem, output = _problem(case, directory)
            except Failure as failure:
                problem, output = str(failure), ""
            suite.results.append(ktap.Result(case.argument, "failed" if problem else "passed",
                                             problem or ""))
            if problem:
                suite.output += output
    yield suite
