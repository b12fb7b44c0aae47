# SPDX-License-Identifier: GPL-2.0
"""Runs lanes, the parts of a test, side by side.

Each lane is a process, so one that fails or is killed loses no result of another, and a signal ends
all of them. Only the first process writes to the terminal: a lane sends it its results and lines.
"""

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import signal
import threading
import traceback

import report

# A lane has this long to end its guest. Seconds.
_PATIENCE = 15
_PR_SET_PDEATHSIG = 1


class Died(Exception):
    """A lane that ended before its last result; the text says how."""


def _work(lane, pipe):
    """Runs in the process of `lane`: sends its results and lines through `pipe`."""
    # The first process gets Ctrl-C too, and ends the lanes by SIGTERM. A handler that does nothing,
    # because child processes would inherit that the signal is ignored.
    signal.signal(signal.SIGINT, lambda *_: None)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # Steps print from a thread of their own.
    lock = threading.Lock()

    def send(kind, *value):
        with lock, contextlib.suppress(BrokenPipeError):
            pipe.send((kind, *value))

    report.redirect(lambda text, last: send("line", text, last))
    try:
        for result in lane():
            send("result", result)
        send("end")
    except Exception:
        send("died", traceback.format_exc())


class _Lane:
    """A lane that runs: its process, the pipe from it, and the results that were not taken yet."""

    def __init__(self, context, lane):
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(lane, theirs), daemon=True)
        self.process.start()
        # The end of the process must be the end of the file.
        theirs.close()
        self.results = []
        self.ended = False

    def receive(self):
        """Reads one message of the lane."""
        try:
            kind, *value = self.pipe.recv()
        except EOFError:
            self.process.join()
            kind, value = "died", [f"exit status {self.process.exitcode}"]
        if kind == "line":
            report.show(id(self), *value)
            return
        if kind == "result":
            self.results += value
        elif kind == "died":
            self.results.append(Died(value[0]))
        self.ended = kind != "result"


def run(lanes):
    """Yields the results of all `lanes`, functions that return an iterator; lane after lane.

    They run at the same time. A lane that fails yields Died as its last result.
    """
    context = multiprocessing.get_context("fork")
    started = []
    try:
        for lane in lanes:
            started.append(_Lane(context, lane))
        for current in started:
            while True:
                while current.results:
                    yield current.results.pop(0)
                if current.ended:
                    break
                for pipe in multiprocessing.connection.wait(
                        [lane.pipe for lane in started if not lane.ended]):
                    next(lane for lane in started if lane.pipe is pipe).receive()
    finally:
        for lane in started:
            lane.process.terminate()
        for lane in started:
            lane.process.join(_PATIENCE)
            lane.process.kill()
            lane.process.join()
