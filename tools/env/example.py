# SPDX-License-Identifier: GPL-2.0
"""The CI of the example project, as its workflow files say: it passes, and finds broken libraries.

The project is a copy in a directory of its own. This checkout is the action and the included
project that its files name.
"""

import os
import re
import shutil
import subprocess
import tempfile
import typing
import xml.etree.ElementTree as xml

import build
import cache
import github
import gitlab
import ktap
import version
from report import Failure, Step

_PROJECT = os.path.join("Documentation", "ci", "example")
# Where jobs run. /tmp may be in memory, and a saved cache is large.
SCRATCH = "/var/tmp"
# The name of this repository and the tag of its major version, in the project's files.
NAME, REF = "OWNER/vfence", "v" + version.version().split(".", maxsplit=1)[0]
_WORKFLOW = ".github/workflows/test.yml"
# The report that both jobs write, and the name of a case in it.
_REPORT = "vfence.xml"
_CASE = re.compile(r"frame-queue\.fences\.\d+ (\w+)")
_CASES = ["waits", "order", "late", "error", "hang", "full"]


class Mutant(typing.NamedTuple):
    """A bug in the library: the line that has it, and the cases of the test that find it."""
    line: str
    replacement: str
    found_by: tuple


MUTANTS = {
    "ignores-errors": Mutant("return info.status < 0 ? info.status : 0;", "return 0;",
                             ("error", "hang")),
    "does-not-wait": Mutant("int ready = poll(&pollfd, 1, timeout_ms);",
                            "int ready = poll(&pollfd, 1, timeout_ms < 0 ? -1 : 0) < 0 ? -1 : 1;",
                            ("waits", "late", "error", "hang")),
}


def mutate(source, mutant):
    """Returns the C `source` with the bug of `mutant`."""
    if source.count(mutant.line) != 1:
        raise Failure(f"frame_queue.c does not have the line '{mutant.line}' once")
    return source.replace(mutant.line, mutant.replacement)


def _git(directory, *words):
    subprocess.run(["git", "-C", directory, "-c", "safe.directory=*", "-c", "user.name=test",
                    "-c", "user.email=test", *words], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE)


def copy_checkout(target):
    """Copies the tracked files of this checkout to `target`, a repository with the branch REF."""
    names = subprocess.run(["git", "-c", "safe.directory=*", "-C", build.CHECKOUT, "ls-files",
                            "-z"], check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    for name in filter(None, names):
        source = os.path.join(build.CHECKOUT, name)
        if os.path.lexists(source):
            os.makedirs(os.path.dirname(os.path.join(target, name)), exist_ok=True)
            shutil.copy2(source, os.path.join(target, name), follow_symlinks=False)
    make_repository(target)


def make_repository(directory):
    """Makes `directory` a repository with one commit, which is the branch REF."""
    _git(directory, "init", "--quiet", f"--initial-branch={REF}")
    _git(directory, "add", "--all")
    _git(directory, "commit", "--quiet", "--message=test")


def _copy_project(checkout, target, mutant=None):
    shutil.copytree(os.path.join(checkout, _PROJECT), target)
    if mutant:
        path = os.path.join(target, "frame_queue.c")
        with open(path) as text:
            source = text.read()
        with open(path, "w") as text:
            text.write(mutate(source, mutant))
    _git(target, "init", "--quiet")


def cases(report):
    """Returns whether each case of the library's test has passed, by the JUnit file `report`."""
    try:
        found = [(_CASE.fullmatch(case.get("name")), case)
                 for case in xml.parse(report).iter("testcase")]
    except (OSError, xml.ParseError) as error:
        raise Failure(f"the report of the job: {error}") from error
    return {match.group(1): case.find("failure") is None for match, case in found if match}


def judge(status, results, broken):
    """Returns the problems of a CI job: exit `status`, `results`, the cases that must fail."""
    if sorted(results) != sorted(_CASES):
        return [f"the cases that ran are {' '.join(results) or 'none'}"]
    failed = sorted(name for name, passed in results.items() if not passed)
    problems = []
    if failed != sorted(broken):
        problems.append(f"the cases that failed are {' '.join(failed) or 'none'}")
    if bool(status) != bool(broken):
        problems.append(f"the exit status of the job is {status}")
    return problems


def _job(runner, workspace, log):
    """Runs the CI of the project in `workspace`; returns the exit status of the job."""
    with open(log, "wb") as out:
        if isinstance(runner, github.Runner):
            return runner.run(_WORKFLOW, workspace, out)
        return runner.run(workspace, out)


def _run(name, runner, checkout, scratch, variants):
    """Returns the Suite of CI `name` with the project of `checkout`, as it is and as mutants."""
    suite = ktap.Suite(f"ci.{name}")
    for variant in variants:
        mutant = MUTANTS.get(variant)
        workspace = os.path.join(scratch, name, variant, "frame-queue")
        _copy_project(checkout, workspace, mutant)
        log = os.path.join(scratch, name, variant, "log")
        with Step(f"CI of the example, {name}: {variant}"):
            try:
                status = _job(runner, workspace, log)
                problems = judge(status, cases(os.path.join(workspace, _REPORT)),
                                 mutant.found_by if mutant else ())
            except Failure as failure:
                problems = [str(failure)]
        with open(log, errors="replace") as text:
            suite.output += text.read()
        for problem in problems:
            suite.fail(variant, problem)
        if not problems:
            suite.results.append(ktap.Result(variant, "passed"))
    return suite


def suites():
    """Yields a suite for each CI."""
    os.environ["VFENCE_CACHE"] = cache.directory()
    with tempfile.TemporaryDirectory(prefix="vfence-example-", dir=SCRATCH) as scratch:
        server = os.path.join(scratch, "server")
        checkout = os.path.join(server, f"{NAME}.git")
        copy_checkout(checkout)
        yield _run("github", github.Runner(os.path.join(scratch, "runner"),
                                           {f"{NAME}@{REF}": checkout}),
                   checkout, scratch, ["as-it-is", "ignores-errors"])
        yield _run("gitlab", gitlab.Runner(os.path.join(scratch, "gitlab-runner"),
                                           {(NAME, REF): checkout}, f"file://{server}"),
                   checkout, scratch, ["as-it-is", "does-not-wait"])
