# SPDX-License-Identifier: GPL-2.0
"""Reports the progress of long steps.

The output of a step goes to a log file. The terminal has one line for each step, which is refreshed
while the step runs.
"""

import subprocess
import sys
import threading
import time

# Seconds between refreshes. A pipe or a CI log keeps every line, so it gets few.
TTY_INTERVAL = 1
LOG_INTERVAL = 30


class Failure(Exception):
    """An error that the user can act on, in one line."""


def say(line):
    print(line, file=sys.stderr, flush=True)


def clock(seconds):
    """Returns `seconds` as minutes and seconds: 01:07."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def count_lines(path):
    """Returns the number of lines in the file `path`, 0 if it does not exist."""
    try:
        with open(path, "rb") as text:
            return sum(block.count(b"\n") for block in iter(lambda: text.read(1 << 20), b""))
    except FileNotFoundError:
        return 0


def percent(done, expected):
    """Returns the progress in words, at most 99 %: `expected` is an estimate."""
    return f"about {min(99, 100 * done // expected)} %"


def size(path):
    """Returns the disk space below `path`, in MB or GB."""
    kib = int(subprocess.run(["du", "-sk", path], check=False, text=True,
                             stdout=subprocess.PIPE).stdout.split()[0])
    return f"{kib / 1048576:.1f} GB" if kib >= 1048576 else f"{kib // 1024} MB"


class Step:
    """One step: `with Step("stock kernel", detail): …`.

    A step that ends within `patience` seconds prints nothing. `progress` returns the progress in
    words.
    """

    def __init__(self, name, detail="", patience=0, progress=None):
        self.name = name
        self.detail = detail
        self.patience = patience
        self.progress = progress
        self._announced = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self):
        self._start = time.monotonic()
        if not self.patience:
            self._announce()
        self._thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self._done.set()
        self._thread.join()
        word = "done" if kind is None else "failed"
        if self._announced or kind:
            self._line(f"vfence: {self.name}: {word} after {self._elapsed()}", last=True)

    def _announce(self):
        self._announced = True
        say(f"vfence: {self.name}: {self.detail}" if self.detail else f"vfence: {self.name}")

    def _elapsed(self):
        return clock(time.monotonic() - self._start)

    def _line(self, text, last=False):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            say(text)

    def _tick(self):
        if self.patience:
            if self._done.wait(self.patience):
                return
            self._announce()
        interval = TTY_INTERVAL if sys.stderr.isatty() else LOG_INTERVAL
        while not self._done.wait(interval):
            far = f", {self.progress()}" if self.progress else ""
            self._line(f"vfence: {self.name}: {self._elapsed()} so far{far}")


def run_logged(argv, log, what, **kwargs):
    """Runs `argv` with its output in the file `log`; on failure, prints the end of the log."""
    with open(log, "ab") as out:
        code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                              check=False, **kwargs).returncode
    if code:
        with open(log, errors="replace") as text:
            for line in text.readlines()[-25:]:
                say("  | " + line.rstrip())
        raise Failure(f"{what} failed (exit status {code}); the full log is {log}")
