# SPDX-License-Identifier: GPL-2.0
"""A build that cannot succeed stops with a line for each reason, before anything is compiled."""

import os
import subprocess

import build
import version
from tests.scratch import Scratch

# Does what the kernel's makefiles do around the Kbuild of a module.
_KERNEL = """
export VERSION = {version}
export PATCHLEVEL = {patchlevel}
KERNELRELEASE = $(VERSION).$(PATCHLEVEL).0-test
srctree := $(CURDIR)
objtree := $(CURDIR)
src := $(M)
modules clean:
	@$(MAKE) -f $(CURDIR)/Makefile inner-$@
inner-modules:
	@echo compiled $(CFLAGS_rust/version/vfence_version.o)
inner-clean:
	@echo cleaned
ifneq ($(filter inner-%,$(MAKECMDGOALS)),)
ifeq ($(filter inner-clean,$(MAKECMDGOALS)),)
include include/config/auto.conf
endif
include $(M)/Kbuild
endif
FORCE:
"""
_RUSTC = "rustc 1.85.1 (4eb161250 2025-03-15) (built from a source tarball)"
_GCC = "x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0"
_CLANG = "Debian clang version 19.1.7 (3)"
_CONFIG = {"MODULES": "y", "RUST": "y", "SYNC_FILE": "y", "CRC32": "m", "CC_IS_GCC": "y",
           "GCC_VERSION": "140200", "RUSTC_VERSION_TEXT": _RUSTC, "CC_VERSION_TEXT": _GCC}


class Requirements(Scratch):
    def setUp(self):
        super().setUp()
        self.tool("rustc", _RUSTC)
        self.tool("bindgen", "bindgen 0.71.1")
        self.tool("gcc", _GCC, "14")
        self.write("kernel/include/generated/autoconf.h", "")
        self.write("kernel/rust/libkernel.rmeta", "")
        self.write("kernel/rust/kernel/lib.rs", "")
        self.write("kernel/Module.symvers", "")
        self.write("kernel/scripts/min-tool-version.sh", "[ $1 = bindgen ] && echo 0.71.1\n")
        self.kernel(7, 3)
        self.configure()

    def tool(self, name, version, dumped=""):
        """Makes a compiler that prints `version`, and `dumped` for -dumpversion."""
        self.write(f"bin/{name}",
                   f"#!/bin/sh\nif [ $1 = -dumpversion ]; then echo '{dumped}'; "
                   f"else echo '{version}'; fi\n")
        os.chmod(self.path(f"bin/{name}"), 0o755)

    def kernel(self, version, patchlevel):
        self.write("kernel/Makefile", _KERNEL.format(version=version, patchlevel=patchlevel))

    def configure(self, **changes):
        """Writes the configuration; an option with the value None is off."""
        options = {**_CONFIG, **changes}
        self.write("kernel/include/config/auto.conf", "".join(
            f"CONFIG_{name}={value}\n" for name, value in options.items() if value))

    def make(self, *words):
        env = dict(os.environ, RUSTC=self.path("bin/rustc"), BINDGEN=self.path("bin/bindgen"),
                   CC=self.path("bin/gcc"))
        done = subprocess.run(["make", *(words or ["-C", build.CHECKOUT,
                                                   f"KDIR={self.path('kernel')}"])],
                              check=False, text=True, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.replace(f"{self.directory}/bin/", "")

    def lines(self, *words):
        """Returns the reasons that a failing make prints."""
        status, output = self.make(*words)
        self.assertNotEqual(status, 0, output)
        self.assertNotIn("compiled", output)
        head, found, reasons = output.partition("*** vfence cannot be built for Linux 7.")
        self.assertTrue(found, output)
        reasons = reasons.partition(".  Stop.")[0]
        return [line.strip() for line in reasons.splitlines()[1:]]

    def test_complete_kernel_is_compiled_for(self):
        for series in ((7, 2), (7, 3), (7, 10), (8, 0), (10, 1)):
            self.kernel(*series)
            status, output = self.make()
            self.assertEqual(status, 0, output)
            self.assertIn("compiled", output)

    def test_modules_have_the_version_of_news(self):
        self.assertIn(f'-DVFENCE_VERSION="{version.version()}"\n', self.make()[1])

    def test_version_is_not_empty(self):
        for name in ("Kbuild", "rust/requirements.mk", "rust/bindgen.mk", "rust/compat/compat.mk"):
            with open(os.path.join(build.CHECKOUT, name)) as text:
                self.write(f"tree/{name}", text.read())
        self.write("tree/NEWS", "soon\n")
        kernel = ["-C", self.path("kernel"), f"M={self.path('tree')}"]
        self.assertIn("NEWS has no line 'vfence X.Y.Z'", self.make(*kernel, "modules")[1])
        self.assertEqual(self.make(*kernel, "clean")[0], 0)

    def test_callers_without_the_makefile_get_the_lines_too(self):
        self.configure(SYNC_FILE=None)
        kernel = ["-C", self.path("kernel"), f"M={build.CHECKOUT}"]
        self.assertEqual(self.lines(*kernel, "modules"), self.lines())

    def test_clean_needs_nothing(self):
        self.configure(RUST=None, SYNC_FILE=None)
        status, output = self.make("-C", self.path("kernel"), f"M={build.CHECKOUT}", "clean")
        self.assertEqual(status, 0, output)

    def test_old_kernel(self):
        for series in ((7, 1), (7, 0)):
            self.kernel(*series)
            self.configure(SYNC_FILE=None)
            self.assertEqual(self.lines(), ["it needs Linux 7.2 or newer"])
        self.kernel(6, 12)
        self.assertIn("Linux 6.12.0-test:\n  it needs Linux 7.2 or newer", self.make()[1])

    def test_kernel_without_options(self):
        self.configure(RUST=None, SYNC_FILE=None, CRC32=None)
        self.tool("rustc", "rustc 1.50.0")
        self.assertEqual(self.lines(), [
            "the kernel has no CONFIG_RUST=y",
            "the kernel has no CONFIG_SYNC_FILE=y, like Debian's cloud kernels",
            "the kernel has no CONFIG_CRC32"])

    def test_headers_of_a_distribution_are_left_alone(self):
        os.unlink(self.path("kernel/rust/libkernel.rmeta"))
        os.unlink(self.path("kernel/rust/kernel/lib.rs"))
        line, = self.lines()
        self.assertIn("run make without KDIR", line)
        self.assertIn("vfence-modules-7.3.0-test", line)
        self.assertNotIn("prepare", line)

    def test_tree_that_is_not_prepared(self):
        os.unlink(self.path("kernel/rust/libkernel.rmeta"))
        self.assertEqual(self.lines(), [
            "the tree has no rust/libkernel.rmeta: build the kernel, or run make modules_prepare "
            f"in {self.path('kernel')}"])

    def test_tree_that_is_only_prepared(self):
        os.unlink(self.path("kernel/Module.symvers"))
        line, = self.lines()
        self.assertIn("the tree has no Module.symvers, which make modules_prepare does not make: "
                      "build the kernel", line)
        # modpost then warns of the symbols that it does not find.
        status, output = self.make("-C", build.CHECKOUT, f"KDIR={self.path('kernel')}",
                                   "KBUILD_MODPOST_WARN=1")
        self.assertEqual(status, 0, output)

    def test_missing_tools(self):
        for name in ("rustc", "bindgen", "gcc"):
            os.unlink(self.path(f"bin/{name}"))
        self.assertEqual(self.lines(), [
            f"missing: rustc; {_RUSTC} has built the kernel", "missing: bindgen, 0.71.1 or newer",
            f"missing: gcc; {_GCC} has built the kernel"])

    def test_other_rustc(self):
        self.tool("rustc", "rustc 1.85.0 (4d91de4e4 2025-02-17)")
        self.assertEqual(self.lines(), [
            f"rustc is rustc 1.85.0 (4d91de4e4 2025-02-17), but {_RUSTC} has built the kernel: "
            "set RUSTC to that one"])

    def test_bindgen(self):
        for found in ("0.71.1", "0.72.0-dev", "0.100.0", "1.0.0"):
            self.tool("bindgen", f"bindgen {found}")
            self.assertEqual(self.make()[0], 0, found)
        for found in ("0.71.0", "0.69.5", "0.8.2"):
            self.tool("bindgen", f"bindgen {found}")
            self.assertEqual(self.lines(),
                             [f"bindgen is {found}, but the kernel needs 0.71.1 or newer"])
        os.unlink(self.path("kernel/scripts/min-tool-version.sh"))
        self.assertEqual(self.make()[0], 0)

    def test_other_c_compiler(self):
        self.tool("gcc", "gcc (Debian 14.3.0-2) 14.3.0", "14")
        self.assertEqual(self.make()[0], 0)
        self.tool("gcc", "gcc (Debian 12.2.0-14) 12.2.0", "12")
        self.assertEqual(self.lines(), [f"gcc is gcc (Debian 12.2.0-14) 12.2.0, but {_GCC} has "
                                        "built the kernel: set CC to that one"])
        self.tool("gcc", _CLANG, "19.1.7")
        self.assertEqual(self.lines(), [f"gcc is {_CLANG}, but {_GCC} has built the kernel: "
                                        "leave out LLVM=1"])
        self.configure(CC_IS_GCC=None, CC_IS_CLANG="y", GCC_VERSION="0", CC_VERSION_TEXT=_CLANG)
        self.assertEqual(self.make()[0], 0)
        self.tool("gcc", _GCC, "14")
        self.assertEqual(self.lines(), [f"gcc is {_GCC}, but {_CLANG} has built the kernel: "
                                        "add LLVM=1"])

    def test_tree_that_is_not_configured(self):
        os.unlink(self.path("kernel/include/generated/autoconf.h"))
        status, output = self.make()
        self.assertNotEqual(status, 0)
        self.assertIn("kernel is not a configured kernel tree", output)
