# SPDX-License-Identifier: GPL-2.0
"""Measures the frequency of the CPU's time stamp counter, which an emulated guest reads too.

A guest calibrates the counter against emulated timers. If other processes take the CPU meanwhile,
the result is wrong by a factor: the clock of the guest runs too fast, and time limits and watchdogs
expire early.
"""

import ctypes
import mmap
import time

# rdtsc; shl rdx, 32; or rax, rdx; ret
_READ = bytes.fromhex("0f31 48c1e220 4809d0 c3")
# Seconds between the two readings.
_INTERVAL = 0.05


def _samples(read):
    """Returns the nanoseconds and ticks of the most exact of some readings."""
    best = None
    for _ in range(50):
        before = time.monotonic_ns()
        ticks = read()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, (before + after) // 2, ticks)
    return best[1:]


def khz():
    """Returns the frequency in kHz."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE
                   | mmap.PROT_EXEC) as code:
        code.write(_READ)
        start = ctypes.c_char.from_buffer(code)
        read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(start))
        first = _samples(read)
        time.sleep(_INTERVAL)
        last = _samples(read)
        del read, start
    return round((last[1] - first[1]) * 1e6 / (last[0] - first[0]))
