# SPDX-License-Identifier: GPL-2.0
"""Reports the progress of long steps.

The output of a step goes to a log file. The terminal has one line for each step, which is refreshed
while the step runs. Steps that run at the same time share that line.
"""

import shutil
import subprocess
import sys
import threading
import time

# Seconds between refreshes. A pipe or a CI log keeps every line, so it gets few.
TTY_INTERVAL = 1
LOG_INTERVAL = 30


class Failure(Exception):
    """An error that the user can act on, in one line."""


# The state of the steps that run now, for the last line of the terminal.
_states = {}


def _terminal_line():
    """Returns the characters that replace the last line of the terminal by the states."""
    text = " | ".join(_states.values()).replace(" | vfence: ", " | ")
    return f"\r\033[K{text[:shutil.get_terminal_size().columns - 1]}"


def show(step, text, last):
    """Prints a line of `step`: its state, or its last line."""
    if not sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
        return
    if last:
        _states.pop(step, None)
        text = f"\r\033[K{text}\n{_terminal_line() if _states else ''}"
    else:
        _states[step] = text
        text = _terminal_line()
    print(text, end="", file=sys.stderr, flush=True)


def out(text):
    """Prints `text` to the standard output, above the line with the states."""
    if _states and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(text, flush=True)
    if _states and sys.stderr.isatty():
        print(_terminal_line(), end="", file=sys.stderr, flush=True)


def _here(text, last):
    show(None, text, last)


# The function that takes the lines of this process.
_sink = _here


def redirect(sink):
    """Makes `sink`, a function of a line and whether it is the last of its step, take all lines."""
    global _sink
    _sink = sink


def say(line):
    _sink(line, True)


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


def read_text(path):
    """Returns the content of the file `path`, "" if it does not exist."""
    try:
        with open(path, errors="replace") as text:
            return text.read()
    except FileNotFoundError:
        return ""


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
            say(f"vfence: {self.name}: {word} after {self._elapsed()}")

    def _announce(self):
        self._announced = True
        say(f"vfence: {self.name}: {self.detail}" if self.detail else f"vfence: {self.name}")

    def _elapsed(self):
        return clock(time.monotonic() - self._start)

    def _tick(self):
        if self.patience:
            if self._done.wait(self.patience):
                return
            self._announce()
        interval = TTY_INTERVAL if sys.stderr.isatty() else LOG_INTERVAL
        while not self._done.wait(interval):
            far = f", {self.progress()}" if self.progress else ""
            _sink(f"vfence: {self.name}: {self._elapsed()} so far{far}", False)


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
