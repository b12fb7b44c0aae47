# SPDX-License-Identifier: GPL-2.0
"""Follows Documentation/tutorial.md: `make test TUTORIAL=1`.

The commands run in a root file system that has nothing but Debian's base, with the cache of this
machine. The test reads the page as follows: an indented block is commands, which must succeed; a
block without a language is the output of the commands before it; a block of C or YAML is a file.
"""

import os
import re
import subprocess
import tempfile
import typing

import build
import cache
import chroot
import example
import github
import ktap
import mirror
import root
from report import Failure, Step, read_text

_PAGE = os.path.join(build.CHECKOUT, "Documentation", "tutorial.md")
# Where the page's reader works, in the root file system.
WORK = "/root/work"
_PROJECT = "my-project"
# The file that the blocks of each language are, in the directory of the project.
_FILES = {"c": "my_test.c", "yaml": ".github/workflows/test.yml"}


class Block(typing.NamedTuple):
    """Commands with what they print, if the page says so."""
    line: int
    commands: str
    output: str = None


def blocks(page):
    """Returns the Blocks of the Markdown `page`, and the text of each file in it."""
    found, files = [], {}
    lines = page.splitlines()
    number = 0
    while number < len(lines):
        start = number
        if match := re.fullmatch(r"```(\w*)", lines[number]):
            end = lines.index("```", number + 1)
            text = "\n".join(lines[number + 1:end])
            if not match.group(1):
                found[-1] = found[-1]._replace(output=text)
            else:
                name = _FILES[match.group(1)]
                files[name] = f"{files[name]}\n{text}\n" if name in files else f"{text}\n"
            number = end + 1
        elif lines[number].startswith("    "):
            while number < len(lines) and lines[number].startswith("    "):
                number += 1
            found.append(Block(start + 1, "\n".join(line[4:] for line in lines[start:number])))
        else:
            number += 1
    return found, files


def script(found):
    """Returns a shell script that runs the Blocks one after the other, in one shell.

    The output of the block in line N goes to the file out.N, and errors to err.N.
    """
    lines = ["set -e"]
    for block in found:
        path = os.path.join(WORK, "out")
        lines.append(f"{{\n{block.commands}\n}} > {path}.{block.line} 2> {path}.{block.line}.err")
        lines.append(f"touch {path}.{block.line}.done")
        if f"cd {_PROJECT}" in block.commands:
            lines.append(f"cp -a {WORK}/files/. .")
    return "\n".join(lines)


def base():
    """Returns a root file system that has nothing but Debian's base and its sources of packages."""
    return cache.stage("root_base", {"suite": root.SUITE},
                       lambda directory, log: root.make(directory, log, root.SUITE, ["apt"],
                                                        mirror.lines(root.SUITE)),
                       "Debian's base")


def _follow(found, files, scratch):
    """Runs the Blocks; `scratch` becomes the directory of the reader."""
    for name, text in files.items():
        path = os.path.join(scratch, "files", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)
    example.copy_checkout(os.path.join(scratch, "repository"))
    argv = chroot.argv(["bash", "-c", script(found)], cwd=WORK, lower=base(),
                       binds=[(scratch, WORK), (cache.directory(), "/root/.cache/vfence")],
                       env={"VFENCE_URL": f"{WORK}/repository"})
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT, check=False)


def judge(block, scratch):
    """Returns the Result of a block that has run, or that has not."""
    path = os.path.join(scratch, f"out.{block.line}")
    name = f"line-{block.line}"
    if not os.path.exists(f"{path}.done"):
        last = read_text(f"{path}.err").strip().splitlines()[-1:] or ["it did not run"]
        return ktap.Result(name, "failed", f"the commands failed: {last[0]}")
    if block.output is not None and read_text(path).strip() != block.output.strip():
        return ktap.Result(name, "failed", "the output is not what the page shows")
    return ktap.Result(name, "passed")


def _workflow(scratch):
    """Runs the workflow of the page; returns its Result and output."""
    runner = github.Runner(os.path.join(scratch, "runner"), {
        f"{example.NAME}@{example.REF}": os.path.join(scratch, "repository")})
    log = os.path.join(scratch, "workflow.log")
    with open(log, "wb") as out:
        status = runner.run(_FILES["yaml"], os.path.join(scratch, _PROJECT), out)
    word = "failed" if status else "passed"
    return ktap.Result("workflow", word, f"exit status {status}" if status else ""), read_text(log)


def suites():
    """Yields the suite of the tutorial, with a result for each block of commands."""
    one = ktap.Suite("tutorial")
    with tempfile.TemporaryDirectory(prefix="vfence-tutorial-", dir=example.SCRATCH) as scratch, \
            Step("following the tutorial"):
        try:
            found, files = blocks(read_text(_PAGE))
            _follow(found, files, scratch)
            one.results = [judge(block, scratch) for block in found]
            for block in found:
                for suffix in ("", ".err"):
                    one.output += read_text(os.path.join(scratch, f"out.{block.line}{suffix}"))
            if one.status == "passed":
                result, output = _workflow(scratch)
                one.results.append(result)
                one.output += output
        except Failure as failure:
            one.fail("run", str(failure))
    yield one
