# SPDX-License-Identifier: GPL-2.0
"""The programs of the self-tests that a command of `make run` needs.

All of them take minutes to build, and most commands need one or none. A command needs the programs
that it names. It also needs those that its files name: a script, or the source of a program that
runs others. A command that names their directory, or a pattern in it, needs all of them. The other
programs may be there from an earlier build, out of date; a stub hides each.
"""

import glob
import os
import re
import tomllib

import build
from report import Failure

_NAME = re.compile(r"[\w-]+")
# The characters before and after a path in a shell command.
_BETWEEN = re.compile(r"[\s\"'`;|&()<>=]+")
# A larger file is data.
_LARGEST_SCRIPT = 1 << 20
# A script is elsewhere, and reading a file there may block, as trace_pipe does.
_NO_SCRIPTS = ("/dev/", "/proc/", "/sys/")

_STUB = """#!/bin/sh
name=${0##*/}
echo "vfence: $name was not built: neither CMD nor a script that it names has this word; \
add it as a comment: CMD='… # $name'" >&2
exit 127
"""


def rust():
    """Returns the names of the Rust programs, and the path of the source of each."""
    found = {}
    with open(os.path.join(build.CHECKOUT, "Cargo.toml"), "rb") as text:
        members = tomllib.load(text)["workspace"]["members"]
    for member in members:
        directory = os.path.join(build.CHECKOUT, member)
        with open(os.path.join(directory, "Cargo.toml"), "rb") as text:
            manifest = tomllib.load(text)
        for program in manifest.get("bin", []):
            found[program["name"]] = os.path.join(directory, program["path"])
        main = os.path.join(directory, "src", "main.rs")
        if os.path.exists(main):
            found[manifest["package"]["name"]] = main
    return found


def c():
    """Returns the names of the C programs, and the path of the source of each, or None."""
    status, output = build.check(["make", "--silent", "-C", "selftests", "list"])
    if status:
        raise Failure(f"'make -C selftests list' failed: {output.strip()}")
    found = {}
    for name in output.split():
        pattern = os.path.join(build.CHECKOUT, "selftests", "*", f"{name.removesuffix('_32')}.c")
        found[name] = next(iter(glob.glob(pattern)), None)
    return found


def _text(path):
    """Returns the text of a file; "" for a binary file or one that cannot be read."""
    try:
        if path.startswith(_NO_SCRIPTS) or not os.path.isfile(path) or \
                os.path.getsize(path) > _LARGEST_SCRIPT:
            return ""
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return ""
    return "" if b"\0" in content else content.decode(errors="replace")


def _is_any(path, sources, outputs):
    """Returns whether `path` may stand for any program in the directories `outputs`."""
    below = any(os.path.join(path, "").startswith(os.path.join(output, "")) for output in outputs)
    return below and os.path.basename(path) not in sources


def needed(command, cwd, sources, outputs):
    """Returns the names of the programs that the shell command `command` needs.

    `sources` maps the name of each program to the path of its source, or None. `cwd` is the
    directory in which the command runs. The programs are in the directories `outputs`.
    """
    found, seen, texts = set(), set(), [command]
    while texts:
        text = texts.pop()
        names = set(_NAME.findall(text)) & sources.keys() - found
        found |= names
        paths = {os.path.normpath(os.path.join(cwd, word))
                 for word in _BETWEEN.split(text) if word}
        if any(_is_any(path, sources, outputs) for path in paths):
            return set(sources)
        paths |= {sources[name] for name in names if sources[name]}
        texts += filter(None, map(_text, paths - seen))
        seen |= paths
    return found


def hide(names, directory, outputs):
    """Makes stubs in `directory` that fail with a message, one for each program in `names`.

    Returns the mounts that hide those programs in the directories `outputs`, for a command that
    runs them by their paths.
    """
    os.makedirs(directory)
    stub = os.path.join(directory, ".stub")
    with open(stub, "w") as text:
        text.write(_STUB)
    os.chmod(stub, 0o755)
    for name in names:
        os.symlink(".stub", os.path.join(directory, name))
    paths = [os.path.join(output, name) for output in outputs for name in sorted(names)]
    return [(stub, path) for path in paths if os.path.isfile(path)]
