# SPDX-License-Identifier: GPL-2.0
"""The reasons that tools/dkms/build.py gives to skip a kernel, and the compilers it chooses."""

import importlib.util
import os
import re

import build
from tests.scratch import Scratch

_RELEASE = "7.3.4+deb13-amd64"
_RUSTC = "rustc 1.85.0 (4d91de4e4 2025-02-17)"
_CONFIG = f"""# CONFIG_OTHER is not set
CONFIG_RUST=y
CONFIG_SYNC_FILE=y
CONFIG_DRM=m
CONFIG_RUSTC_VERSION_TEXT="{_RUSTC}"
CONFIG_CC_VERSION_TEXT="x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0"
CONFIG_DEBUG_INFO_BTF=y
"""
_ARM64 = _CONFIG.replace("x86_64", "aarch64") + "CONFIG_ARM64=y\nCONFIG_COMPAT_VDSO=y\n"
_CLANG = _CONFIG.replace("x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0",
                         "Debian clang version 19.1.7 (3)")


def _load():
    path = os.path.join(build.CHECKOUT, "tools/dkms/build.py")
    spec = importlib.util.spec_from_file_location("dkms_build", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Kernel(Scratch):
    def setUp(self):
        super().setUp()
        self.dkms = _load()
        self.versions = {f"linux-headers-{_RELEASE}": "7.3.4-1", "linux-source-7.3": "7.3.4-1"}
        self.dkms.version = self.versions.get
        self.dkms.rustc = lambda: _RUSTC
        self.missing = set()
        self.dkms.installed = lambda tool: tool not in self.missing
        self.configure(_CONFIG)
        self.write("usr/src/linux-source-7.3.tar.xz", "")

    def configure(self, text):
        self.write(f"lib/modules/{_RELEASE}/build/.config", text)


class Check(_Kernel):
    def check(self, release=_RELEASE):
        return list(self.dkms.check(self.dkms.Kernel(release, self.path(""))))

    def test_nothing_is_missing(self):
        self.assertEqual(self.check(), [])

    def test_headers(self):
        self.assertEqual(self.check("7.3.5+deb13-amd64"), [
            "no headers of kernel 7.3.5+deb13-amd64: "
            "apt-get install linux-headers-7.3.5+deb13-amd64"])

    def test_options(self):
        for option in ("RUST", "SYNC_FILE", "DRM"):
            self.configure("".join(line for line in _CONFIG.splitlines(True)
                                   if not line.startswith(f"CONFIG_{option}=")))
            self.assertEqual(self.check(), [
                f"kernel {_RELEASE} has no CONFIG_{option}: take another flavour"])

    def test_compiler(self):
        self.dkms.rustc = lambda: "rustc 1.90.0"
        self.assertEqual(self.check(), [
            f"kernel {_RELEASE} was built with {_RUSTC}, this machine has rustc 1.90.0"])

    def test_tools(self):
        for config, tool, package in (
                (_CONFIG, "bindgen", "bindgen"),
                (_CONFIG, "x86_64-linux-gnu-gcc-14", "gcc-14"),
                (_CONFIG, "pahole", "pahole"),
                (_CLANG, "ld.lld", "lld"),
                (_ARM64, "arm-linux-gnueabihf-gcc-14", "gcc-14-arm-linux-gnueabihf")):
            self.configure(config)
            self.missing = {tool}
            self.assertEqual(self.check(), [
                f"kernel {_RELEASE} needs {tool}: apt-get install {package}"])

    def test_tools_that_no_option_needs(self):
        self.missing = {"clang", "ld.lld", "arm-linux-gnueabihf-gcc-14"}
        # This option of x86 has the same name.
        self.configure(f"{_CONFIG}CONFIG_COMPAT_VDSO=y\n")
        self.assertEqual(self.check(), [])

    def test_source_of_another_version(self):
        self.versions["linux-source-7.3"] = "7.3.5-1"
        self.assertEqual(self.check(), [
            f"kernel {_RELEASE} needs linux-source-7.3 of version 7.3.4-1, installed is 7.3.5-1: "
            "apt-get install linux-source-7.3=7.3.4-1"])

    def test_no_source(self):
        del self.versions["linux-source-7.3"]
        self.assertIn("it is not installed: apt-get install linux-source-7.3=7.3.4-1",
                      self.check()[0])

    def test_file_of_the_source_is_gone(self):
        os.unlink(self.path("usr/src/linux-source-7.3.tar.xz"))
        self.assertEqual(self.check(), [
            f"{self.path('usr/src/linux-source-7.3.tar.xz')} is missing: "
            "apt-get install --reinstall linux-source-7.3"])

    def test_kernel_of_the_user(self):
        self.versions.clear()
        self.assertIn("are not a Debian package: build with 'make KDIR='", self.check()[0])

    def test_tree_with_metadata_needs_no_source(self):
        self.versions.clear()
        self.write(f"lib/modules/{_RELEASE}/build/rust/libkernel.rmeta", "")
        self.assertEqual(self.check(), [])


class Compilers(_Kernel):
    """The words of make, for a tree that has Rust metadata."""

    def words(self, config):
        self.configure(config)
        self.write(f"lib/modules/{_RELEASE}/build/rust/libkernel.rmeta", "")
        commands = []
        self.dkms._run = lambda *command: commands.append(list(command))
        self.dkms.MODULES = []
        before = os.getcwd()
        os.chdir(self.path(""))
        try:
            self.dkms.build(self.dkms.Kernel(_RELEASE, self.path("")))
        finally:
            os.chdir(before)
        self.assertEqual(commands[0][:2], ["make", "-C"])
        return [word for word in commands[0] if re.match("LLVM|.*CC|CROSS", word)]

    def test_compilers_of_the_kernel(self):
        gcc = "aarch64-linux-gnu-gcc-14"
        self.assertEqual(self.words(_CONFIG), [
            "CC=x86_64-linux-gnu-gcc-14", "HOSTCC=x86_64-linux-gnu-gcc-14"])
        self.assertEqual(self.words(_CLANG), ["LLVM=1"])
        self.assertEqual(self.words(_ARM64), [
            f"CC={gcc}", f"HOSTCC={gcc}", "CROSS_COMPILE_COMPAT=arm-linux-gnueabihf-",
            "CC_COMPAT=arm-linux-gnueabihf-gcc-14"])
