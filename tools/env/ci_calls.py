# SPDX-License-Identifier: GPL-2.0
"""The suites `ci.action` and `ci.template`: the calls of vfence-vm by the files for others' CI.

In place of vfence-vm, a script records its arguments and runs the command on this machine.
"""

import json
import os
import re
import shutil
import tempfile
import typing

import build
import example
import git_server
import github
import gitlab
import ktap
from report import Failure, Step

_FILES = ["action.yml", "vfence.gitlab-ci.yml"]
_COMMAND = os.path.join("tools", "vfence-vm", "vfence-vm")
# Appends its words up to -- to @CALLS@, separated by |. A root file system of the user's own has no
# bash here.
_STUB = r"""#!/bin/bash
set -e
before=()
for word; do
    [ "$word" != -- ] || break
    [ "$last" != --junit ] || touch "$word"
    before+=("$word")
    last=$word
done
(IFS='|'; echo "${before[*]}" >> @CALLS@)
case "$1 $2" in
"cache key") cksum <<< "$*" | cut -d ' ' -f 1 ;;
"cache save") echo "made by $*" > "$last" ;;
"cache restore") [ ! -e "$3" ] || grep -q '^made by' "$3" ;;
*) shift $((${#before[@]} + 1))
   [[ " ${before[*]} " != *" --root "* ]] || export PATH=@NO_BASH@
   exec "$@" ;;
esac
"""


class Case(typing.NamedTuple):
    """A job: its inputs, the words that name the system, those after them, and if it succeeds."""
    inputs: dict
    system: str
    options: str = ""
    passes: bool = True


CASES = {
    "packages": Case({"packages": "gcc, libc6-dev", "run": "shopt -qo pipefail"},
                     "--kernel|stock|--with|gcc, libc6-dev"),
    "options": Case({"kernel": "rt", "options": "--param a=* --cpus 1", "run": "true"},
                    "--kernel|rt", "|--param|a=*|--cpus|1"),
    "root": Case({"root": "my root", "run": '! command -v bash && [ "$0" = sh ]'},
                 "--kernel|stock|--root|my root"),
    "oci": Case({"oci": "image.tar:tag", "run": "true"}, "--kernel|stock|--oci|image.tar:tag"),
    "command-fails": Case({"run": "false\ntrue"}, "--kernel|stock", "", False),
    "command-fails-without-bash": Case({"root": "dir", "run": "false\ntrue"},
                                       "--kernel|stock|--root|dir", "", False),
    "pipe-fails": Case({"run": "false | true"}, "--kernel|stock", "", False),
}


class _Place:
    """A directory with a copy of the files, the script in place of vfence-vm, and a workspace."""

    def __init__(self, directory):
        self.checkout = os.path.join(directory, "server", "a project.git")
        self.workspace = os.path.join(directory, "work")
        self._calls = os.path.join(directory, "calls")
        self._log = os.path.join(directory, "log")
        no_bash = os.path.join(directory, "no-bash")
        for path in (os.path.dirname(os.path.join(self.checkout, _COMMAND)), self.workspace,
                     no_bash):
            os.makedirs(path)
        os.symlink("/bin/sh", os.path.join(no_bash, "sh"))
        for name in _FILES:
            shutil.copy(os.path.join(build.CHECKOUT, name), self.checkout)
        stub = os.path.join(self.checkout, _COMMAND)
        with open(stub, "w") as text:
            text.write(_STUB.replace("@CALLS@", self._calls).replace("@NO_BASH@", no_bash))
        os.chmod(stub, 0o755)
        example.make_repository(self.checkout)
        # A shell that expanded the options of vfence-vm would find it.
        open(os.path.join(self.workspace, "a=file"), "w").close()

    def run(self, runner, path, content):
        """Runs the job that the file `path` describes; returns (exit status, calls, output)."""
        path = os.path.join(self.workspace, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as text:
            # JSON is YAML.
            json.dump(content, text)
        open(self._calls, "w").close()
        with open(self._log, "wb") as out:
            status = runner(out)
        with open(self._log, errors="replace") as log, open(self._calls) as calls:
            return status, [re.sub(r"[^|\n]+\.tar$", "FILE", line.rstrip("\n"))
                            for line in calls], log.read()


class _GitHub:
    """Runs jobs with the action, on one runner."""
    # The options before those of the case.
    options = ""

    def __init__(self, directory, place):
        self.saved = os.path.join(directory, "runner", "saved")
        self._place = place
        self._runner = github.Runner(os.path.join(directory, "runner"),
                                     {f"{example.NAME}@{example.REF}": place.checkout})

    def run(self, *uses):
        """Runs a job that uses the action with each of the mappings of inputs."""
        steps = [{"uses": f"{example.NAME}@{example.REF}", "with": inputs} for inputs in uses]
        return self._place.run(
            lambda out: self._runner.run("test.yml", self._place.workspace, out), "test.yml",
            {"on": "push", "jobs": {"one": {"runs-on": "debian", "steps": steps}}})


class _GitLab:
    """Runs jobs that extend the template, on one runner. The server asks for the job's token."""
    options = "|--junit|vfence.xml"

    def __init__(self, directory, place, url):
        self.saved = os.path.join(directory, "runner", "saved")
        self._place = place
        self._runner = gitlab.Runner(os.path.join(directory, "runner"),
                                     {(example.NAME, example.REF): place.checkout}, url)

    def run(self, inputs):
        """Runs a job with the variables for `inputs`."""
        include = {"project": example.NAME, "ref": example.REF, "file": "vfence.gitlab-ci.yml"}
        variables = {f"VFENCE_{name.upper()}": value.replace("$", "$$")
                     for name, value in inputs.items()}
        variables["VFENCE_REPOSITORY"] = "$CI_SERVER_URL/a%20project.git"
        return self._place.run(
            lambda out: self._runner.run(self._place.workspace, out), ".gitlab-ci.yml",
            {"include": [include], "job": {"extends": ".vfence", "variables": variables}})


def _calls(case, options, saves):
    """Returns the calls that a job must make; `saves` says whether it makes the saved file."""
    save = [f"cache|save|{case.system}|FILE"] if saves else []
    return [f"cache|key|{case.system}", "cache|restore|FILE", *save,
            f"run|{case.system}{options}{case.options}"]


def _files(directory):
    """Returns the paths of the saved files below `directory`."""
    return [os.path.join(path, name) for path, _, names in os.walk(directory) for name in names]


def _check(suite, name, case, done, expected):
    """Adds the result of a job that is `done` to the suite."""
    status, calls, output = done
    problem = ""
    if calls != expected:
        problem = f"the calls are {calls}"
    elif bool(status) == case.passes:
        problem = f"the exit status of the job is {status}"
    if problem:
        suite.output += output
    suite.results.append(ktap.Result(name, "failed" if problem else "passed", problem))


def _jobs(suite, ci):
    """Runs each case on an empty cache, and one with a saved file that is good or bad."""
    for name, case in CASES.items():
        shutil.rmtree(ci.saved)
        os.mkdir(ci.saved)
        _check(suite, name, case, ci.run(case.inputs), _calls(case, ci.options, True))
    case = CASES["oci"]
    ci.run(case.inputs)
    _check(suite, "saved-file", case, ci.run(case.inputs), _calls(case, ci.options, False))
    for path in _files(ci.saved):
        os.truncate(path, 0)
    _check(suite, "bad-saved-file", case, ci.run(case.inputs), _calls(case, ci.options, True))


def _two_uses(suite, ci):
    """Runs a job that uses the action with two kernels: each has its own saved file."""
    for path in _files(ci.saved):
        os.unlink(path)
    uses = [CASES["options"], CASES["oci"]]
    expected = [call for case in uses for call in _calls(case, ci.options, True)]
    _check(suite, "two-uses", uses[0], ci.run(*(case.inputs for case in uses)), expected)
    content = []
    for path in _files(ci.saved):
        with open(path) as text:
            content.append(text.read())
    if len(content) != 2 or not all(sum(f"{case.system} ".replace("|", " ") in text
                                        for text in content) == 1 for case in uses):
        suite.fail("two-uses", f"the saved files are {content}")


def suites():
    """Yields a suite for the action and one for the template."""
    for name, fill in (("ci.action", _action), ("ci.template", _template)):
        suite = ktap.Suite(name)
        with tempfile.TemporaryDirectory(prefix="vfence-calls-", dir=example.SCRATCH) as scratch, \
                Step(f"calls of vfence-vm, {name}"):
            try:
                fill(suite, scratch, _Place(scratch))
            except Failure as failure:
                suite.fail("run", str(failure))
        yield suite


def _action(suite, scratch, place):
    ci = _GitHub(scratch, place)
    _jobs(suite, ci)
    _two_uses(suite, ci)


def _template(suite, scratch, place):
    with git_server.serve(os.path.dirname(place.checkout), gitlab.USER, gitlab.TOKEN) as url:
        _jobs(suite, _GitLab(scratch, place, url))
