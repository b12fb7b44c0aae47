# SPDX-License-Identifier: GPL-2.0
"""A clean kernel log passes, and every kind of fault report fails."""

import unittest

import build
import klog
import refusals

END = "vfence-guest: the end"
CLEAN = """[    0.000000] Linux version 7.3.4+deb13-amd64
[    1.000000] kasan: KernelAddressSanitizer initialized (generic)
[    9.000000] vfence: loading out-of-tree module taints kernel.
[    9.000001] vfence: module verification failed: signature and/or required key missing
[   10.000000] vfence-guest: the end
"""
RECORDS = rb"""6,0,0,-;Linux version 7.3.4+deb13-amd64
4,1,1000,-;WARNING: a\x0ab \xc3\xa9 \x5c
 SUBSYSTEM=misc
 DEVICE=c10:1
12,2,12345678,-;vfence-guest: the end
"""
BAD = """WARNING: CPU: 1 PID: 7 at kernel/x.c:1 f+0x1/0x2
BUG: kernel NULL pointer dereference, address: 0000000000000000
Oops: Oops: 0000 [#1] SMP
WARNING: possible recursive locking detected
WARNING: possible circular locking dependency detected
BUG: KASAN: slab-use-after-free in f+0x1/0x2
UBSAN: shift-out-of-bounds in x.c:1:2
INFO: task kworker blocked for more than 120 seconds.
rcu: INFO: rcu_preempt detected stalls on CPUs/tasks
watchdog: BUG: soft lockup - CPU#0 stuck for 22s!
BUG: sleeping function called from invalid context at x.c:1
ODEBUG: free active (active state 0) object type: hrtimer
refcount_t: underflow; use-after-free.
kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
Call Trace:
Call trace:
Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000
Internal error: synchronous external abort: 0000000096000410 [#1] SMP
Kernel panic - not syncing: Fatal exception
rust_kernel: panicked at rust/vfence/main.rs:1""".splitlines()


class Records(unittest.TestCase):
    def test_lines_are_those_of_dmesg(self):
        self.assertEqual(klog.text(RECORDS), "[    0.000000] Linux version 7.3.4+deb13-amd64\n"
                         "[    0.001000] WARNING: a\n[    0.001000] b é \\\n"
                         "[   12.345678] vfence-guest: the end\n")

    def test_log_without_its_beginning_fails(self):
        rest = RECORDS.partition(b"\n")[2].replace(b"WARNING", b"hello")
        self.assertEqual(klog.judge(klog.text(rest), END),
                         ["WARNING: the first 1 lines of the kernel log are lost"])


class Judge(unittest.TestCase):
    def test_clean_log_passes(self):
        self.assertEqual(klog.judge(CLEAN, END), [])

    def test_reason_of_a_refusal_passes(self):
        reasons = refusals.reasons(build.CHECKOUT)
        self.assertGreater(len(reasons), 100)
        log = "".join(f"[    9.000002] vfence: {reason}\n" for reason in reasons)
        self.assertEqual(klog.judge(log + CLEAN, END), [])

    def test_each_fault_report_fails(self):
        for line in BAD:
            with self.subTest(line):
                self.assertEqual(len(klog.judge(f"[ 1.0] {line}\n{CLEAN}", END)), 1)

    def test_problem_names_its_suite(self):
        log = f"[ 1.0] vfence-guest: suite a\n[ 1.1] vfence-guest: suite b\n[ 1.2] {BAD[0]}\n"
        self.assertIn("(while b ran)", klog.judge(log + CLEAN, END)[0])
        self.assertNotIn("while", klog.judge(f"{CLEAN}[ 11.0] {BAD[0]}\n", END)[0])

    def test_log_without_end_fails(self):
        problems = klog.judge(CLEAN.replace(END, ""), END)
        self.assertEqual(len(problems), 1)
        self.assertIn("died early", problems[0])

    def test_empty_log_fails(self):
        self.assertEqual(len(klog.judge("", END)), 1)
