# SPDX-License-Identifier: GPL-2.0
"""Errnos of the driver that have no reason are found."""

import unittest
from unittest import mock

import build
import refusals


class Problems(unittest.TestCase):
    def found(self, *lines, file="rust/vfence/x.rs"):
        return refusals.problems(file, "\n".join(lines))

    def test_errno_without_a_reason_is_found(self):
        for line in ("return Err(EINVAL);", "x.ok_or(ENOENT)?;", "x.map_err(|_| E2BIG)?;",
                     "x.ok_or_else(|| EBADF)?;", "_ => Err(ENOTTY),", "let error = EPERM;",
                     "Err(if full { EBUSY } else { error })"):
            with self.subTest(line):
                self.assertEqual(len(self.found("", line)), 1)
                self.assertTrue(self.found("", line)[0].startswith("line 2: E"))

    def test_errno_with_a_reason_is_not(self):
        self.assertEqual(self.found('return Err(refuse!(EINVAL, "x {}", x));',
                                    "x.ok_or_else(|| {", "    refuse!(", "        ENOENT,",
                                    '        "no x"', "    )", "})?;"), [])

    def test_errno_that_refuses_nothing_is_not(self):
        self.assertEqual(self.found("if error == EAGAIN || error != EIO {}",
                                    "Err(EBUSY) => Ok(()),", "let error = ETIMEDOUT.to_errno();",
                                    "if presence.error() == Some(ENODEV) {}"), [])

    def test_name_text_and_comment_are_not(self):
        self.assertEqual(self.found("use kernel::error::code::{EINVAL};", "// Fails with EINVAL.",
                                    'let text = "EINVAL";', "const EXPORT: u32 = ERRORS;"), [])

    def test_errno_in_a_unit_test_is_not(self):
        self.assertEqual(self.found("#[kernel::macros::kunit_tests(x)]", "mod tests {",
                                    "assert!(x.err() == Some(EIO)); f(EIO);", "}"), [])

    def test_error_of_another_subsystem_needs_a_reason(self):
        call = "let fence = sync_file::get_fence(fd)"
        self.assertEqual(len(self.found(f"{call}?;")), 1)
        self.assertEqual(self.found(f"{call};", "let fence = fence.map_err(no_fence)?;"), [])

    def test_failed_copy_needs_a_reason(self):
        for call in ("reader.read_slice(text)", "reader.read::<i32>()", "writer.write_slice(&x)",
                     "self.slice(0, 4)?.writer().write(value)"):
            with self.subTest(call):
                self.assertEqual(len(self.found(f"{call}?;")), 1)
                self.assertEqual(self.found(f"{call}.map_err(|_| self.inaccessible())?;"), [])

    def test_exception_is_for_one_line_that_exists(self):
        allowed = {"rust/vfence/x.rs": {"return Err(EINVAL);": "logged"}}
        with mock.patch.object(refusals, "_ALLOWED", allowed):
            self.assertEqual(self.found("return Err(EINVAL);"), [])
            self.assertEqual(len(self.found("return Err(EINVAL);", "return Err(EINVAL);")), 1)
            self.assertEqual(len(self.found("")), 1)


class Checkout(unittest.TestCase):
    def test_driver_has_a_reason_for_each_errno(self):
        results = refusals.suite(build.CHECKOUT).results
        self.assertEqual([result for result in results if result.status != "passed"], [])


if __name__ == "__main__":
    unittest.main()
