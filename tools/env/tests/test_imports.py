# SPDX-License-Identifier: GPL-2.0
"""The import graph has every form of import, and finds cycles and imports of upper layers."""

import contextlib
import io
import os
import unittest

import imports
from tests.scratch import Scratch


class Tree(Scratch):
    """A source tree of a few files."""

    def setUp(self):
        super().setUp()
        self.write("vfence_main.rs", "mod vfence;\n#[path = \"kernel/mod.rs\"]\nmod kernel_ext;\n")
        self.write("kernel/mod.rs", "pub(crate) mod wait;\n")
        self.write("kernel/wait.rs", "")
        self.write("vfence/mod.rs", "//! The map.\n#![deny(unsafe_code)]\nmod client;\nmod queue;\n"
                   "mod sched;\npub(crate) use client::Client;\n")
        self.write("vfence/client.rs", "")
        self.write("vfence/queue/mod.rs", "mod timer;\n")
        self.write("vfence/queue/timer.rs", "")
        self.write("vfence/sched/mod.rs", "mod types;\nmod ring;\npub(crate) use {\n    types::*,\n"
                   "    ring::Ring, //\n};\n")
        self.write("vfence/sched/types.rs", "")
        self.write("vfence/sched/ring.rs", "")

    def write(self, name, text):
        super().write(os.path.join("rust", name), text)

    def imported_by(self, name, text):
        """Returns the imports of file `name` if it has `text`."""
        self.write(name, text)
        return imports.read(self.directory).edges[name]


class Edges(Tree):
    def check(self, text, *expected):
        self.assertEqual(sorted(self.imported_by("vfence/queue/timer.rs", text)), sorted(expected))

    def test_vertical_braces(self):
        self.check("use crate::{\n    kernel_ext::wait::{\n        Wait,\n        Waker, //\n"
                   "    },\n    vfence::client::Client, //\n};\n",
                   "kernel/wait.rs", "vfence/client.rs")

    def test_super_and_self(self):
        self.check("use super::Queue;\nuse super::super::client::Client;\nuse self::Timer;\n",
                   "vfence/queue/mod.rs", "vfence/client.rs")

    def test_self_in_braces_is_the_module(self):
        self.check("use crate::kernel_ext::wait::{self, Waker};\n", "kernel/wait.rs")

    def test_paths_in_code(self):
        self.check("fn f(c: &super::super::client::Client) -> crate::kernel_ext::wait::Wait {}\n",
                   "vfence/client.rs", "kernel/wait.rs")

    def test_path_in_a_macro(self):
        self.check("macro_rules! m { () => { $crate::kernel_ext::wait::new() } }\n",
                   "kernel/wait.rs")

    def test_path_through_an_imported_module(self):
        self.check("use crate::vfence as driver;\nfn f() { driver::client::open() }\n",
                   "vfence/client.rs", "vfence/mod.rs")

    def test_path_through_a_child(self):
        self.assertEqual(self.imported_by("vfence/queue/mod.rs", "mod timer;\nfn f() {\n"
                                          "    timer::arm() }\n"), {"vfence/queue/timer.rs": 3})

    def test_other_crates_comments_literals_and_visibility_are_no_imports(self):
        self.check("use kernel::prelude::*;\nuse core::mem;\n// crate::vfence::client\n"
                   "/* crate::vfence::client */ const A: &str = \"crate::vfence::client\";\n"
                   "fn f<'a>(c: &'a u8) -> char { '\"' }\npub(in crate::vfence) struct B;\n"
                   "use zerocopy::zerocopy;\nfn g() { zerocopy::f() }\n")

    def test_modules_are_no_imports(self):
        self.assertEqual(self.imported_by("vfence/queue/mod.rs", "pub(super) mod timer;\n"), {})

    def test_tests_are_no_imports(self):
        for attribute in ("cfg(test)", "kernel::macros::kunit_tests(vfence_timer)"):
            self.check(f"#[{attribute}]\nmod tests {{\n    use crate::vfence::Client;\n}}\n")

    def test_inline_module_has_its_own_super(self):
        self.check("mod inner {\n    use super::super::Queue;\n    use super::Timer;\n}\n",
                   "vfence/queue/mod.rs")

    def test_facade_stands_for_the_file_that_defines_the_item(self):
        self.check("use crate::vfence::{sched::Ring, Client};\n",
                   "vfence/client.rs", "vfence/sched/ring.rs")
        self.check("use crate::vfence::sched::Point;\n", "vfence/sched/types.rs")

    def test_glob_of_a_facade_is_all_that_it_exports(self):
        self.check("use crate::vfence::sched::*;\n", "vfence/sched/ring.rs",
                   "vfence/sched/types.rs")

    def test_re_exports_of_a_file_with_code_are_its_imports(self):
        self.write("vfence/mod.rs", "mod client;\nmod queue;\nmod sched;\n"
                   "pub(crate) use client::Client;\nconst A: u32 = 1;\n")
        self.check("use crate::vfence::Client;\n", "vfence/mod.rs")
        edges = imports.read(self.directory).edges
        self.assertEqual(sorted(edges["vfence/mod.rs"]), ["vfence/client.rs"])

    def test_exported_macro_is_in_the_file_that_defines_it(self):
        self.write("kernel/wait.rs", "#[macro_export]\nmacro_rules! new_wait { () => {} }\n")
        self.check("use crate::new_wait;\n", "kernel/wait.rs")

    def test_items_that_each_module_defines_are_no_imports(self):
        self.check("use crate::module_parameters;\nconst A: &CStr = crate::NAME;\n")


class Rules(Tree):
    def problems(self):
        graph = imports.read(self.directory)
        return imports.cycles(graph), imports.disorder(graph)

    def test_clean_tree(self):
        self.write("vfence/client.rs", "use super::queue::timer::Timer;\n")
        self.assertEqual(self.problems(), ([], []))
        self.assertEqual(imports.suite(self.directory).status, "passed")

    def test_cycle_is_refused(self):
        self.write("vfence/queue/mod.rs", "mod timer;\nuse timer::Timer;\nstruct Queue;\n")
        self.write("vfence/queue/timer.rs", "use super::Queue;\n")
        self.assertEqual(self.problems()[0], [
            "vfence/queue/mod.rs:2 -> vfence/queue/timer.rs:1 -> vfence/queue/mod.rs"])
        self.assertEqual(imports.suite(self.directory).status, "failed")

    def test_cycle_of_three_names_all(self):
        self.write("vfence/sched/types.rs", "use super::ring::Ring;\n")
        self.write("vfence/sched/ring.rs", "use crate::vfence::client::Client;\n")
        self.write("vfence/client.rs", "use super::sched::types::A;\n")
        line, = self.problems()[0]
        cycle = ("vfence/client.rs:1 -> vfence/sched/types.rs:1 -> vfence/sched/ring.rs:1 -> "
                 "vfence/client.rs (3 files")
        self.assertTrue(line.startswith(cycle), line)

    def test_cycle_of_abstractions_is_refused(self):
        self.write("kernel/wait.rs", "mod list;\npub(crate) use list::List;\nstruct Wait;\n")
        self.write("kernel/wait/list.rs", "use super::Wait;\n")
        cycle = "kernel/wait.rs:2 -> kernel/wait/list.rs:1 -> kernel/wait.rs"
        self.assertEqual(self.problems()[0], [cycle])
        self.assertEqual(imports.suite(self.directory).status, "failed")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(imports.show(self.directory), 1)
        self.assertIn(f"cycle: {cycle}\n", out.getvalue())

    def test_import_of_an_upper_layer_is_refused(self):
        self.write("vfence/queue/timer.rs", "\nuse crate::vfence::Client;\n")
        self.assertEqual(self.problems()[1], ["vfence/queue/timer.rs:2: layer queue imports "
                                              "vfence/client.rs of layer client"])
        self.write("vfence/queue/timer.rs", "")
        self.write("kernel/wait.rs", "use crate::vfence::Client;\n")
        self.assertEqual(self.problems()[1], ["kernel/wait.rs:1: layer kernel imports "
                                              "vfence/client.rs of layer client"])

    def test_state_machine_imports_nothing_from_outside(self):
        self.write("vfence/sched/ring.rs", "use super::types::A;\n")
        self.assertEqual(self.problems(), ([], []))
        self.write("vfence/sched/ring.rs", "use crate::kernel_ext::wait::Wait;\n")
        self.assertEqual(self.problems()[1], ["vfence/sched/ring.rs:1: layer sched imports "
                                              "kernel/wait.rs of layer kernel"])

    def test_file_in_no_layer_is_refused(self):
        self.write("vfence/mod.rs", "mod client;\nmod queue;\nmod sched;\nmod misc;\n")
        self.write("vfence/misc.rs", "")
        self.assertEqual(self.problems()[1],
                         ["vfence/misc.rs: in no layer; tools/env/imports.py lists them"])

    def test_file_that_no_module_declares_is_refused(self):
        self.write("vfence/queue/name.rs", "")
        self.write("uapi_generated.rs", "")
        self.assertEqual(imports.undeclared(imports.read(self.directory)),
                         ["vfence/queue/name.rs: no module declares it"])
        self.assertEqual(imports.suite(self.directory).status, "failed")

    def test_crate_that_is_no_module_has_its_own_root(self):
        self.write("compat/lib.rs", "mod lock;\n")
        self.write("compat/lock.rs", "use crate::wait::Wait;\n")
        self.write("compat/wait.rs", "")
        self.assertEqual(imports.undeclared(imports.read(self.directory)),
                         ["compat/wait.rs: no module declares it"])
        self.write("compat/lib.rs", "mod lock;\nmod wait;\n")
        self.assertEqual(self.imported_by("compat/wait.rs", "use crate::lock::Lock;\n"),
                         {"compat/lock.rs": 1})
        self.assertEqual(imports.suite(self.directory).status, "failed")

    def test_graph_is_printed_by_layer(self):
        self.write("vfence/client.rs", "use super::queue::timer::Timer;\n")
        lines = imports.text(imports.read(self.directory))
        self.assertIn("  vfence/client.rs -> vfence/queue/timer.rs", lines)
        self.assertIn("  vfence/sched/mod.rs: re-exports only", lines)
        self.assertLess(lines.index("client"), lines.index("sched"))


if __name__ == "__main__":
    unittest.main()
