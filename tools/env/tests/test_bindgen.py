# SPDX-License-Identifier: GPL-2.0
"""The helpers get their names, also if bindgen found no rustfmt and wrote a single line."""

import os
import subprocess

import build
from tests.scratch import Scratch

_MAKEFILE = """
src := {checkout}
include $(src)/rust/bindgen.mk
.PHONY: sample
sample:
	@true $(helpers_names)
FORCE:
"""


class Helpers(Scratch):
    def renamed(self, text):
        self.write("sample", text)
        self.write("Makefile", _MAKEFILE.format(checkout=build.CHECKOUT))
        subprocess.run(["make", "--silent", "-C", self.directory, "sample"], check=True)
        with open(os.path.join(self.directory, "sample")) as result:
            return result.read().split()

    def test_each_helper_of_a_line_is_renamed(self):
        line = "pub fn rust_helper_a () ; pub fn rust_helper_b_2 (x : u8) ; pub fn other () ;\n"
        self.assertEqual(self.renamed(line), (
            '#[link_name = "rust_helper_a"] pub fn a () ; #[link_name = "rust_helper_b_2"] '
            "pub fn b_2 (x : u8) ; pub fn other () ;").split())

    def test_formatted_output(self):
        text = "    pub fn rust_helper_a();\n    pub fn rust_helper_b();\n"
        self.assertEqual(self.renamed(text), (
            '#[link_name = "rust_helper_a"] pub fn a(); #[link_name = "rust_helper_b"] '
            "pub fn b();").split())
