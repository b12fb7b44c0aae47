# SPDX-License-Identifier: GPL-2.0
"""Runs the host tests of the driver's scheduler and checks their line coverage."""

import glob
import json
import os
import re
import shutil

import build
import ktap

_GOAL = 95
_CRATE = os.path.join(build.CHECKOUT, "tools", "sched", "src", "lib.rs")
_TARGET = os.path.join(build.BUILD, "coverage")
_PROFILE = os.path.join(_TARGET, "profile")
_NAME = "sched-coverage"
# The package; the suite cargo-test leaves it out.
PACKAGE = "vfence-sched"


def _sources():
    """Returns the files of the driver that the crate compiles and that define a function."""
    with open(_CRATE) as text:
        included = re.findall(r'#\[path = "\.\./\.\./\.\./(rust/vfence/[\w/]+\.rs)"\]', text.read())
    found = []
    for path in included:
        directory, name = os.path.split(path)
        names = [name]
        if name == "mod.rs":
            # A module of a directory: the crate compiles all its files.
            names = sorted(glob.glob("**/*.rs", root_dir=os.path.join(build.CHECKOUT, directory),
                                     recursive=True))
        for file in (os.path.join(directory, name) for name in names):
            with open(os.path.join(build.CHECKOUT, file)) as text:
                if re.search(r"^\s*[^/\n]*\bfn \w", text.read(), re.M):
                    found.append(file)
    return found


def judge(summary, sources):
    """Returns a result for each of `sources` from `summary`, the output of `llvm-cov export`."""
    percent = {entry["filename"]: entry["summary"]["lines"]["percent"]
               for data in summary["data"] for entry in data["files"]}
    results = []
    for source in sources:
        covered = [value for name, value in percent.items() if name.endswith("/" + source)]
        if not covered:
            results.append(ktap.Result(source, "failed", "not covered by any test"))
        elif covered[0] < _GOAL:
            reason = f"line coverage is {covered[0]:.1f} %, less than {_GOAL} %"
            results.append(ktap.Result(source, "failed", reason))
        else:
            results.append(ktap.Result(source, "passed"))
    return results


def suites():
    """Yields the results of the host tests and their coverage; builds them instrumented."""
    shutil.rmtree(_PROFILE, ignore_errors=True)
    env = {"CARGO_TARGET_DIR": _TARGET, "RUSTFLAGS": "-C instrument-coverage",
           "LLVM_PROFILE_FILE": os.path.join(_PROFILE, "%p.profraw")}
    test = ["cargo", "test", "--locked", "--package", PACKAGE, "--lib"]
    status, output = build.check([*test, "--no-run", "--message-format=json"], env)
    if status:
        yield ktap.command("sched", output, status)
        return
    found = re.findall(r'"executable":"([^"]+)"', output)
    status, output = build.check(test, env)
    yield ktap.parse("sched", output, status)
    if status or len(found) != 1:
        yield ktap.command(_NAME, f"{len(found)} test programs", 1)
        return
    merged = os.path.join(_PROFILE, "merged")
    raw = sorted(glob.glob(os.path.join(_PROFILE, "*.profraw")))
    for command in (["llvm-profdata", "merge", *raw, "-o", merged],
                    ["llvm-cov", "export", "-summary-only", f"-instr-profile={merged}", *found]):
        status, output = build.check(command)
        if status:
            yield ktap.command(_NAME, output, status)
            return
    results = judge(json.loads(output), _sources())
    yield ktap.Suite(_NAME, results or [ktap.Result("files", "failed", "no files")])
