# SPDX-License-Identifier: GPL-2.0
"""Checks that no line of a tracked text file is longer than 100 columns.

A tab extends to the next multiple of 8. Generated files, the lock file of cargo and the rows of
Markdown tables may be longer. A file with a NUL byte is binary and is not checked.
"""

import os
import re
import subprocess

import bench
import build
import ktap
import uapi
from report import Failure

LIMIT = 100
_TAB = 8
# Tools write these files, by their paths in the checkout.
_GENERATED = {"Cargo.lock", os.path.relpath(bench.BASELINE, build.CHECKOUT), *uapi.GENERATED}
_FENCE = re.compile(r"\s*(```|~~~)")
_ROW = re.compile(r"\s*\|.*\|\s*$")


def tracked(checkout):
    """Returns the paths of the files that git tracks in `checkout`."""
    # The user who runs this may not be the owner of the checkout.
    command = ["git", "-c", "safe.directory=*", "-C", checkout, "ls-files", "-z"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
    except OSError as error:
        raise Failure(f"git: {error.strerror}") from error
    if done.returncode:
        raise Failure(f"git ls-files: {done.stderr.decode(errors='replace').strip()}")
    return sorted(path for path in done.stdout.decode().split("\0") if path)


def width(line):
    """Returns how many columns `line` takes."""
    return len(line.expandtabs(_TAB))


def long_lines(path, content):
    """Returns the numbers of the lines of file `path` that are too long, given its bytes."""
    if b"\0" in content or path in _GENERATED:
        return []
    markdown, code = path.endswith(".md"), False
    found = []
    for number, line in enumerate(content.decode(errors="replace").split("\n"), 1):
        if markdown and _FENCE.match(line):
            code = not code
        row = markdown and not code and _ROW.match(line)
        if width(line) > LIMIT and not row:
            found.append(number)
    return found


def suite(checkout):
    """Returns a failed result for each file with long lines, as a suite."""
    if not os.path.exists(os.path.join(checkout, ".git")):
        return ktap.Suite("columns", [ktap.Result("files", "skipped", "not a git checkout")])
    checks = {}
    try:
        for path in tracked(checkout):
            file = os.path.join(checkout, path)
            # A link has the text of another file, and a file may be deleted but not yet in git.
            if os.path.islink(file) or not os.path.isfile(file):
                continue
            with open(file, "rb") as content:
                found = long_lines(path, content.read())
            if found:
                numbers = " ".join(map(str, found))
                checks[path] = [f"lines over {LIMIT} columns: {numbers}"]
    except Failure as failure:
        checks["files"] = [str(failure)]
    return ktap.problems("columns", checks or {"files": []})
