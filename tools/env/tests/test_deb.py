# SPDX-License-Identifier: GPL-2.0
"""The packages: their control file and changelog, and what they say about Secure Boot."""

import fnmatch
import os
import re
import subprocess
import unittest

import build
import deb
import kernel
from report import Failure
from tests.scratch import Scratch

_NEWS = """# A comment.

vfence 0.9.0

* New:
  two lines.
* Another.

vfence 0.8.0

* Old.
"""
_COMMON = "Source: vfence\nBuild-Depends-Arch: bc,@KERNELS@\n"
_TEMPLATE = ("\nPackage: vfence-modules-@RELEASE@\nArchitecture: @ARCHITECTURE@\n"
             "Depends: linux-modules-@RELEASE@ (= @VERSION@)\n")


def _read(name):
    with open(os.path.join(build.CHECKOUT, name)) as text:
        return text.read()


def _program(scratch, name, text):
    """Writes the shell program `name` in the directory of `scratch`."""
    scratch.write(name, f"#!/bin/sh\n{text}\n")
    os.chmod(scratch.path(name), 0o755)


class Changelog(unittest.TestCase):
    def test_entry_of_the_version(self):
        self.assertEqual(deb.changelog(_NEWS, "0.8.0", "A <a@b>", 0),
                         "vfence (0.8.0) unstable; urgency=medium\n\n  * Old.\n\n"
                         " -- A <a@b>  Thu, 01 Jan 1970 00:00:00 -0000\n")

    def test_unknown_version_has_the_newest_entry(self):
        self.assertIn("vfence (0.0.1) unstable; urgency=medium\n\n  * New: two lines.\n"
                      "  * Another.\n\n --",
                      deb.changelog(_NEWS, "0.0.1", "A <a@b>", 0))


class Control(unittest.TestCase):
    def test_each_kernel_has_a_package(self):
        text = deb.control(_COMMON, _TEMPLATE, [
            deb.Modules("7.3.4+deb13-amd64", "amd64", "7.3.4-1", []),
            deb.Modules("7.3.4+deb13-rt-amd64", "amd64", "7.3.4-1", []),
            deb.Modules("7.3.4+deb13-arm64", "arm64", "7.3.4-2", [])])
        self.assertEqual(text, """Source: vfence
Build-Depends-Arch: bc,
 linux-headers-7.3.4+deb13-amd64 (= 7.3.4-1) [amd64] <!pkg.vfence.prebuilt>,
 linux-source-7.3 (= 7.3.4-1) [amd64] <!pkg.vfence.prebuilt>,
 linux-headers-7.3.4+deb13-rt-amd64 (= 7.3.4-1) [amd64] <!pkg.vfence.prebuilt>,
 linux-headers-7.3.4+deb13-arm64 (= 7.3.4-2) [arm64] <!pkg.vfence.prebuilt>,
 linux-source-7.3 (= 7.3.4-2) [arm64] <!pkg.vfence.prebuilt>,

Package: vfence-modules-7.3.4+deb13-amd64
Architecture: amd64
Depends: linux-modules-7.3.4+deb13-amd64 (= 7.3.4-1)

Package: vfence-modules-7.3.4+deb13-rt-amd64
Architecture: amd64
Depends: linux-modules-7.3.4+deb13-rt-amd64 (= 7.3.4-1)

Package: vfence-modules-7.3.4+deb13-arm64
Architecture: arm64
Depends: linux-modules-7.3.4+deb13-arm64 (= 7.3.4-2)
""")

    def test_modules_depend_on_the_exact_kernel(self):
        self.assertIn("\n linux-modules-@RELEASE@ (= @VERSION@),\n",
                      _read("debian/modules.control.in"))

    def test_source_package_needs_the_tools_of_dkms(self):
        source, _, packages = _read("debian/control.in").partition("\nPackage:")
        field = packages.partition("\nPackage: vfence-dkms\n")[2].partition("\nDepends: ")[2]
        words = [line.split()[0] for line in re.split(r"\n\S", field)[0].split(",")]
        # dkms signs with openssl; each source package has a C library.
        tools = {word for word in words if word not in ("openssl", "libc6-dev", "vfence-common")
                 and "$" not in word}
        self.assertIn("bindgen", tools)
        self.assertEqual({tool for tool in tools if not re.search(
            rf"^(Build-\S+: | ){re.escape(tool)}[ ,]", source, re.MULTILINE)}, set())


class KernelVersion(Scratch):
    def test_version_is_in_the_image(self):
        self.write("vmlinuz", "\0 7.3.4+deb13-amd64 (a@b) (gcc-14 (Debian 14.2.0-19) 14.2.0) "
                   "#1 SMP PREEMPT_DYNAMIC Debian 7.3.4-1~bpo13+1 (2026-11-15)\0")
        self.assertEqual(deb.kernel_version(self.path("vmlinuz")), "7.3.4-1~bpo13+1")

    def test_image_of_another_builder(self):
        self.write("vmlinuz", "\0 7.3.4 (a@b) (gcc-14 (Debian 14.2.0-19) 14.2.0) #1 SMP\0")
        with self.assertRaisesRegex(Failure, "does not name the version"):
            deb.kernel_version(self.path("vmlinuz"))


class Series(unittest.TestCase):
    """debian/ names the series of kernels in two files."""

    def test_each_series_has_a_trigger(self):
        words = _read("debian/vfence-dkms.triggers").split()
        self.assertEqual(words.count("interest-noawait"), len(kernel.PINS) + 1)
        for series in kernel.PINS:
            self.assertIn(f"/usr/src/linux-source-{series}.tar.xz", words)

    def test_newest_series_is_recommended(self):
        self.assertIn(f"\nRecommends: linux-source-{next(iter(kernel.PINS))}\n",
                      _read("debian/control.in"))


def _sources():
    """Yields the paths of all files of the checkout. The tests run where git is not installed."""
    for directory, folders, files in os.walk(build.CHECKOUT):
        folders[:] = [name for name in folders if name not in (".git", "build", "__pycache__")]
        for name in files:
            yield os.path.relpath(os.path.join(directory, name), build.CHECKOUT)


class Copyright(unittest.TestCase):
    """debian/copyright and the SPDX identifiers, the first line of each file or the second."""

    def test_licence_of_each_file(self):
        names = {"GPL-2.0": "GPL-2", "GPL-2.0 OR MIT": "GPL-2 or Expat",
                 "GPL-2.0 WITH Linux-syscall-note": "GPL-2-with-Linux-syscall-note"}
        stanzas = re.findall(r"^Files: (.*?)\nCopyright:.*?\nLicense: (.*?)$",
                             _read("debian/copyright"), re.MULTILINE | re.DOTALL)
        self.assertGreater(len(stanzas), 2)
        wrong, known = [], 0
        for path in _sources():
            with open(os.path.join(build.CHECKOUT, path), errors="replace") as text:
                found = re.search(r"SPDX-License-Identifier: ([\w. -]*\w)",
                                  text.readline() + text.readline())
            if not found:
                continue
            known += 1
            # The last stanza that matches a file counts.
            licence = [one for patterns, one in stanzas
                       if any(fnmatch.fnmatchcase(path, word) for word in patterns.split())][-1]
            if names[found.group(1)] != licence:
                wrong.append(path)
        self.assertGreater(known, 100)
        self.assertEqual(wrong, [])


class Scripts(Scratch):
    """The scripts that dpkg runs, with programs of the test."""

    def run_it(self, name, paths, argument):
        """Runs debian/`name` with other `paths`; returns its exit status and what ran."""
        script = _read(f"debian/{name}")
        for path in paths:
            self.assertIn(path, script)
            script = script.replace(path, self.path(path.lstrip("/")))
        done = subprocess.run(["sh", "-c", script, "script", argument], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={"PATH": f"{self.path('bin')}:/usr/sbin:/usr/bin:/sbin:/bin"})
        return done.returncode, done.stdout.splitlines()

    def dkms(self, exits):
        """Builds for the kernels a, b and c, for which dkms exits with `exits`; b is built."""
        for release, status in zip("abc", exits):
            self.write(f"lib/modules/{release}/build/include/file", "")
            self.write(f"exit-{release}", str(status))
        _program(self, "bin/dpkg-query", "echo 1.0")
        _program(self, "bin/modinfo", "exit 1")
        _program(self, "bin/dkms", f"""
            [ "$1" = install ] || {{ [ "$7" != b ] || echo 'vfence/1.0, b: installed'; exit 0; }}
            echo "$@"; exit $(cat {self.path('exit-')}$7)""")
        return self.run_it("vfence-dkms.postinst", ["/lib/modules/"], "triggered")

    def test_trigger_builds_for_each_skipped_kernel(self):
        commands = [f"install -m vfence -v 1.0 -k {release}" for release in "ac"]
        self.assertEqual(self.dkms([0, 0, 77]), (0, commands))

    def test_trigger_fails_if_a_build_does(self):
        commands = [f"install -m vfence -v 1.0 -k {release}" for release in "ac"]
        self.assertEqual(self.dkms([10, 0, 0]), (1, commands))

    def test_udev_that_does_not_answer(self):
        self.write("run/udev/control", "")
        _program(self, "bin/udevadm", 'echo "$1"; exit 1')
        self.assertEqual(self.run_it("vfence-common.postinst", ["/run/udev/control"], "configure"),
                         (0, ["control", "trigger"]))


class Explanation(Scratch):
    """debian/explain-refusal, with files and a modinfo of the test."""

    def run_it(self, lockdown, enforce, modinfo):
        self.write("lockdown", lockdown)
        self.write("enforce", enforce)
        if modinfo:
            _program(self, "modinfo", f"[ \"$*\" = '-k 1.2 -F signer vfence' ]\n{modinfo}")
        script = _read("debian/explain-refusal")
        for path, name in (("/sys/kernel/security/lockdown", "lockdown"),
                           ("/sys/module/module/parameters/sig_enforce", "enforce"),
                           ("/usr/sbin/modinfo", "modinfo")):
            self.assertIn(path, script)
            script = script.replace(path, self.path(name))
        done = subprocess.run(["sh", "-c", script, "explain", "1.2"], check=False, text=True,
                              stderr=subprocess.PIPE)
        return done.returncode, done.stderr

    def refused(self, modinfo):
        """Returns the text where the kernel is locked down."""
        status, text = self.run_it("none [integrity] confidentiality", "N", modinfo)
        self.assertEqual(status, 1)
        return text

    def test_silent_where_any_module_loads(self):
        self.assertEqual(self.run_it("[none] integrity confidentiality", "N", "echo"), (0, ""))

    def test_unsigned_module(self):
        for lockdown, enforce in (("none [integrity] confidentiality", "N"),
                                  ("none integrity [confidentiality]", "N"), ("[none]", "Y")):
            status, text = self.run_it(lockdown, enforce, "echo")
            self.assertEqual(status, 1)
            self.assertIn("vfence.ko is not signed", text)
            self.assertIn("Install vfence-dkms", text)
            self.assertIn("install mokutil", text)

    def test_signed_module(self):
        text = self.refused("echo 'a machine'")
        self.assertIn("signed by 'a machine'", text)
        self.assertIn("'Operation not permitted'", text)
        self.assertIn("install mokutil, run 'mokutil --import /var/lib/dkms/mok.pub'", text)
        self.assertNotIn("vfence-dkms", text)

    def test_no_module(self):
        text = self.refused("exit 1")
        self.assertIn("kernel 1.2 has no vfence.ko", text)
        self.assertNotIn("signed by", text)
        self.assertNotIn("is not signed", text)

    def test_no_modinfo(self):
        text = self.refused(None)
        self.assertIn("install kmod", text)
        self.assertNotIn("is not signed", text)
