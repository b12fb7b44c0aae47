# SPDX-License-Identifier: GPL-2.0
"""`make bench`: the cost of calls of vfence, compared with those of the kernel's sw_sync, and how
long they keep others from the CPU.

The benchmark program measures in a guest whose clock counts instructions, so its figures are
reproducible. This module compares them with the goals and with the baseline, and prints a table.
"""

import contextlib
import json
import os
import shlex
import subprocess

import build
import cache
import guest
import kernel
from report import Failure, Step, count_lines, say

KERNEL = "bench"
BASELINE = os.path.join(build.CHECKOUT, "selftests", "bench", "baseline.json")
# A figure that grows by more than this part of the baseline is reported.
TOLERANCE = 0.02
# Repeated measurements of the same operation may differ by this part, less than the tolerance.
AGREEMENT = 0.01
# The largest figure of a flat series, as a multiple of the smallest.
FLAT = 1.10
# A row fills a queue with a million fences. That takes almost as long as the default watchdog
# allows; the cost of the watchdog does not depend on its bound.
_PARAMETERS = "max_jobs=1048576 watchdog_ms=20000"
# Time limit of the whole guest, in seconds.
_LIMIT = 1800
_PROGRAM = "vfence-bench"

_SCRIPT = """
export PATH={path} HOME=/root LC_ALL=C.UTF-8
if insmod {vfence} {parameters} sw_sync=1 && insmod {vfence_drm} {parameters}; then
    {program}
    status=$?
    rmmod vfence_drm vfence || status=$((status ? status : 1))
else
    status=125
fi
echo '{sentinel}' > /dev/kmsg
dmesg > {log}
exit $status
"""


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def rows(text):
    """Returns the rows in the program's output, and the problems in them, a line each."""
    found, problems, expected = [], [], None
    for line in text.splitlines():
        try:
            record = json.loads(line)
            if "rows" in record:
                expected = record["rows"]
                continue
            row = {key: record[key] for key in ("operation", "unit", "goal")}
        except (ValueError, TypeError, KeyError):
            problems.append(f"not a row: {line}")
            continue
        row.update({key: record[key] for key in ("vfence", "peer", "pending", "peer_of")
                    if key in record})
        problems += [f"{row['operation']}: no figure of {'the peer' if key == 'peer' else key}"
                     for key in ("vfence", "peer")
                     if (key == "vfence" or key in row) and not _number(row.get(key))]
        found.append(row)
    if not expected or len(found) != expected:
        problems.append(f"{len(found)} rows of {expected or 'an unknown number'}")
    return found, problems


def judge(row):
    """Returns `row` with its ratio, and whether it meets its goal; None if that is unknown.

    The goal limits the ratio or, in a row without a peer, the figure.
    """
    ratio = None
    if _number(row.get("vfence")) and _number(row.get("peer")) and row["peer"]:
        ratio = row["vfence"] / row["peer"]
    value = ratio if "peer" in row else row.get("vfence")
    return {**row, "ratio": ratio, "met": value <= row["goal"] if _number(value) else None}


def flatness(found):
    """Returns a row for each series, with the ratio of its largest figure to its smallest.

    The name of a series is the part before the colon in the names of its rows.
    """
    series = {}
    for row in found:
        if "pending" in row:
            series.setdefault(row["operation"].split(":")[0], []).append(row.get("vfence"))
    flat = []
    for name, values in series.items():
        known = all(_number(value) and value for value in values)
        flat.append({"operation": f"{name}: most to least", "unit": "ratio", "goal": FLAT,
                     "vfence": max(values) / min(values) if known else None})
    return flat


def agreement(found):
    """Returns the largest relative difference between repeated figures of the same peer.

    Each figure is measured in its own process. Returns None if none is repeated.
    """
    peers = {}
    for row in found:
        if "peer_of" in row and _number(row.get("peer")):
            peers.setdefault(row["peer_of"], []).append(row["peer"])
    return max((max(peer) / min(peer) - 1 for peer in peers.values()
                if len(peer) > 1 and min(peer)), default=None)


def _figure(value, unit):
    if not _number(value):
        return "–"
    if unit == "ratio":
        return f"{value:.2f}"
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def table(judged):
    """Returns the lines of the table."""
    cells = [("operation", "unit", "vfence", "peer", "ratio", "goal", "met")]
    for row in judged:
        goal = f"≤ {row['goal']:.2f}×" if "peer" in row else f"≤ {row['goal']:.10g}"
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.3f}"
        cells.append((row["operation"], row["unit"], _figure(row.get("vfence"), row["unit"]),
                      _figure(row.get("peer"), row["unit"]), ratio, goal,
                      {True: "yes", False: "no", None: "–"}[row["met"]]))
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(cell.ljust(width) if index < 2 or index == 6 else cell.rjust(width)
                      for index, (cell, width) in enumerate(zip(line, widths))).rstrip()
            for line in cells]


def slower(found, baseline):
    """Returns a line for each figure of vfence that grew by more than the tolerance."""
    before = {row["operation"]: row["vfence"] for row in baseline}
    lines = []
    for row in found:
        old, new = before.get(row["operation"]), row.get("vfence")
        if not _number(new):
            continue
        if old is None:
            lines.append(f"not in the baseline: {row['operation']}")
        elif new > old * (1 + TOLERANCE):
            word = "larger" if row["unit"] == "bytes" else "slower"
            growth = f" by {100 * (new / old - 1):.1f} %" if old else ""
            lines.append(f"{word} than the baseline{growth}: "
                         f"{row['operation']}, {_figure(old, row['unit'])} → "
                         f"{_figure(new, row['unit'])} {row['unit']}")
    return lines


def missing(found, baseline):
    """Returns a line for each row that is in the baseline and not in `found`."""
    names = {row["operation"] for row in found}
    return [f"in the baseline, not measured: {row['operation']}"
            for row in baseline if row["operation"] not in names]


def dump(results):
    """Returns `results` as JSON with a line for each row, for readable diffs."""
    head = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n"
                   for key, value in results.items() if key != "rows")
    lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in results["rows"])
    return f'{{\n{head} "rows": [\n{lines}\n ]\n}}\n'


def _write(path, results):
    with open(path, "w") as out:
        out.write(dump(results))


def _load_baseline():
    """Returns the baseline, None if it does not exist."""
    try:
        with open(BASELINE) as text:
            return json.load(text)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Failure(f"{BASELINE} is not JSON: {error}") from error


def _commit():
    """Returns the commit that is checked out, None if git fails."""
    with contextlib.suppress(OSError):
        done = subprocess.run(["git", "-C", build.CHECKOUT, "describe", "--always", "--dirty"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        return done.stdout.strip() or None
    return None


def _measure(modules, directory):
    """Runs the program in the guest; returns its rows and the problems, a line each."""
    paths = {name: os.path.join(directory, f"bench.{name}") for name in ("out", "err", "log")}
    console = os.path.join(directory, "console.log")
    for path in (*paths.values(), console):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    loaded = dict(zip(build.MODULES, map(shlex.quote, modules)))
    script = _SCRIPT.format(path=shlex.quote(build.path(KERNEL)), parameters=_PARAMETERS,
                            program=_PROGRAM, sentinel=guest.SENTINEL,
                            log=shlex.quote(paths["log"]), **loaded)
    with open(paths["out"], "wb") as out, open(paths["err"], "wb") as err, \
            Step("bench guest", "emulated, about 3 minutes",
                 progress=lambda: f"{max(0, count_lines(paths['out']) - 1)} rows"):
        open(console, "w").close()
        status = guest.boot(KERNEL, script, console, binds=build.HERE, counted=True,
                            timeout=_LIMIT, out=out, err=err, stdin=subprocess.DEVNULL)
    with open(paths["out"], errors="replace") as text:
        found, problems = rows(text.read())
    with open(paths["err"], errors="replace") as text:
        problems = [line.strip() for line in text if line.strip()] + problems
    if status is None:
        problems.append(f"the guest ran for more than {_LIMIT} s")
    elif status:
        problems.append(f"{_PROGRAM} or its script failed (exit status {status})")
    return found, problems + guest.problems(paths["log"], console)


def run(update):
    """Measures, prints the table and returns the exit status; `update` writes the baseline."""
    modules = build.modules(KERNEL)
    build.programs(rust=(), c=[_PROGRAM])
    directory = build.results(KERNEL)
    with cache.lock(os.path.join(build.BUILD, "bench.lock"), "measuring in this checkout"):
        return _run(modules, directory, update)


def _run(modules, directory, update):
    found, problems = _measure(modules, directory)
    release = kernel.release(KERNEL)
    baseline = None if update else _load_baseline()
    judged = [judge(row) for row in found + flatness(found)]
    differ = agreement(found)
    if baseline:
        problems += missing(found, baseline["rows"])
    for line in table(judged):
        print(line)
    if judged:
        met = sum(row["met"] is True for row in judged)
        print(f"{met} of {len(judged)} goals are met", flush=True)
    if differ is not None:
        line = f"repeated measurements differ by at most {100 * differ:.2f} %"
        if differ > AGREEMENT:
            problems.append(line)
        else:
            print(line, flush=True)
    path = os.path.join(directory, "bench.json")
    _write(path, {"kernel": release, "commit": _commit(), "problems": problems, "rows": judged})
    say(f"vfence: the figures are in {path}")
    if baseline:
        if baseline.get("kernel") != release:
            print(f"the baseline is from kernel {baseline.get('kernel')}, this run from {release}")
        for line in slower(found, baseline["rows"]) or [
                f"no figure is more than {100 * TOLERANCE:.0f} % above the baseline"]:
            print(line, flush=True)
    for problem in problems:
        say(f"vfence: {problem}")
    if problems:
        return 1
    if update:
        _write(BASELINE, {"kernel": release, "rows": found})
        say(f"vfence: wrote the baseline {BASELINE}")
    elif not baseline:
        say("vfence: there is no baseline; make bench BASELINE=update writes it")
    return 0
