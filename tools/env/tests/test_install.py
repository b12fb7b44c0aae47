# SPDX-License-Identifier: GPL-2.0
"""`make install` and `make uninstall` treat the same files; the udev rules name the right nodes."""

import os
import re
import subprocess
from unittest import mock

import archive
import build
import cache
import install
import kernel
import version
from report import Failure
from tests.scratch import Scratch

_RULES = "udev/60-vfence.rules"
_FILES = {
    "usr/include/drm/vfence_drm.h": "include/uapi/drm/vfence_drm.h",
    "usr/include/linux/sw_sync.h": "include/uapi/linux/sw_sync.h",
    "usr/include/linux/vfence.h": "include/uapi/linux/vfence.h",
    f"usr/lib/udev/rules.d/{os.path.basename(_RULES)}": _RULES,
    "usr/share/doc/vfence/examples/modprobe.d/vfence.conf": "etc/modprobe.d/vfence.conf",
    "usr/share/doc/vfence/examples/modules-load.d/vfence.conf": "etc/modules-load.d/vfence.conf",
    "usr/share/man/man1/tool.1": "Documentation/man/tool.1",
    "usr/share/man/man4/vfence.4": "Documentation/man/vfence.4",
}
_PIPELINE = "build/target/release/vfence-pipeline"
# Does what the kernel's modules_install does, for a kernel that compresses modules.
_KBUILD = """
modules_install:
	for ko in $(M)/*.ko; do \\
		install -D $$ko $(INSTALL_MOD_PATH)/lib/modules/1.2/updates/$$(basename $$ko).xz; \\
	done
	test $(DEPMOD) = true
"""


# The files that vfence-vm needs, beside the headers.
_VM = ["Kbuild", "NEWS", "include/vfence.pc.in", "rust/main.rs", "tools/env/vm.py",
       "tools/vfence-vm/vfence-vm"]
# The files among them that `make KDIR=…` writes.
_BUILT = ["rust/main.o", "rust/.main.o.cmd", "rust/x_generated.rs", "rust/compat.args",
          "rust/compat.args.lacks", "rust/compat.args.probe", "rust/libvfence_compat.rmeta"]


def _read(path):
    with open(path) as text:
        return text.read()


class Install(Scratch):
    def setUp(self):
        super().setUp()
        for path in ("Makefile", "NEWS", "include/vfence.pc.in", *_FILES.values()):
            # The test has manual pages of its own.
            source = os.path.join(build.CHECKOUT, path)
            self.write(f"tree/{path}", "page" if "/man/" in path else _read(source))
        for path in (*_VM, *_BUILT, "tools/env/tests/test_vm.py"):
            if path not in ("NEWS", "include/vfence.pc.in"):
                self.write(f"tree/{path}", "")
        self.write("kernel/Makefile", _KBUILD)
        self.write("kernel/include/config/kernel.release", "1.2\n")
        self.program("modinfo", "test \"$*\" = '-F vermagic ./vfence.ko' && echo '1.2 SMP'")

    def program(self, name, script):
        """Makes a program that takes the place of one of the system."""
        self.write(f"bin/{name}", f"#!/bin/sh\n{script}\n")
        os.chmod(self.path(f"bin/{name}"), 0o755)

    def make(self, *words):
        done = subprocess.run(["make", "-C", self.path("tree"), f"KDIR={self.path('kernel')}",
                               f"DESTDIR={self.path('root')}", *words], check=False, text=True,
                              env={**os.environ,
                                   "PATH": f"{self.path('bin')}:{os.environ['PATH']}"},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def installed(self):
        root = self.path("root")
        return sorted(os.path.relpath(os.path.join(folder, name), root)
                      for folder, _, names in os.walk(root) for name in names)

    def test_install_and_uninstall(self):
        for name in ("modules.order", "vfence.ko", "vfence_drm.ko"):
            self.write(f"tree/{name}", "")
        self.write(f"tree/{_PIPELINE}", "")
        self.write("root/lib/modules/1.2/updates/other.ko", "")
        self.write("root/usr/include/linux/other.h", "")
        status, output = self.make("install")
        self.assertEqual(status, 0, output)
        updates = "lib/modules/1.2/updates"
        self.assertEqual(self.installed(),
                         sorted([f"{updates}/other.ko", f"{updates}/vfence.ko.xz",
                                 f"{updates}/vfence_drm.ko.xz", "usr/bin/vfence-pipeline",
                                 "usr/include/linux/other.h",
                                 "usr/share/pkgconfig/vfence.pc", "usr/bin/vfence-vm",
                                 *self.vm(), *_FILES]))
        for target, source in _FILES.items():
            self.assertEqual(_read(self.path(f"root/{target}")), _read(self.path(f"tree/{source}")))
            self.assertEqual(os.stat(self.path(f"root/{target}")).st_mode & 0o777, 0o644)
        self.assertTrue(os.access(self.path("root/usr/bin/vfence-pipeline"), os.X_OK))
        status, output = self.make("uninstall")
        self.assertEqual(status, 0, output)
        self.assertEqual(self.installed(),
                         [f"{updates}/other.ko", "usr/include/linux/other.h"])
        for folder in ("doc/vfence", "vfence"):
            self.assertFalse(os.path.exists(self.path(f"root/usr/share/{folder}")), folder)
        # Other packages may have made the directories that they share.
        for folder in ("bin", "include/drm", "share/man/man4"):
            self.assertEqual(os.listdir(self.path(f"root/usr/{folder}")), [], folder)

    def vm(self):
        """Returns what vfence-vm has: the sources of the modules and tools/env, without tests."""
        headers = [path for path in _FILES.values() if path.startswith("include/")]
        return [f"usr/share/vfence/{path}" for path in (*_VM, *headers)]

    def test_command_is_a_link_into_the_directory_of_its_sources(self):
        status, output = self.make("install-vm")
        self.assertEqual(status, 0, output)
        self.assertEqual(self.installed(), sorted(["usr/bin/vfence-vm", *self.vm()]))
        self.assertEqual(os.path.realpath(self.path("root/usr/bin/vfence-vm")),
                         self.path("root/usr/share/vfence/tools/vfence-vm/vfence-vm"))

    def test_sources_of_an_older_version_are_not_left(self):
        self.write("root/usr/share/vfence/rust/old.rs", "")
        status, output = self.make("install-vm")
        self.assertEqual(status, 0, output)
        self.assertNotIn("usr/share/vfence/rust/old.rs", self.installed())

    def test_parts_are_installed_below_the_prefix(self):
        status, output = self.make("PREFIX=/opt/v", "install-headers", "install-man")
        self.assertEqual(status, 0, output)
        self.assertEqual(self.installed(), [
            "opt/v/include/drm/vfence_drm.h", "opt/v/include/linux/sw_sync.h",
            "opt/v/include/linux/vfence.h", "opt/v/share/man/man1/tool.1",
            "opt/v/share/man/man4/vfence.4", "opt/v/share/pkgconfig/vfence.pc"])
        text = _read(self.path("root/opt/v/share/pkgconfig/vfence.pc"))
        self.assertIn("prefix=/opt/v\n", text)
        self.assertIn(f"Version: {version.version()}\n", text)

    def test_install_names_the_tool_that_was_not_built(self):
        for name in ("modules.order", "vfence.ko"):
            self.write(f"tree/{name}", "")
        status, output = self.make("install")
        self.assertEqual(status, 0, output)
        self.assertIn("not installed: vfence-pipeline; make tools builds it", output)
        status, output = self.make("install-tools")
        self.assertNotEqual(status, 0)
        self.assertIn("nothing to install: run make tools first", output)

    def test_packages_are_not_overwritten(self):
        self.program("dpkg-query", """
echo 'installed vfence-common'; echo 'config-files vfence-dkms'; echo 'installed libvfence-dev'
""")
        # The target alone: with another result, make install would write to the running system.
        status, output = self.make("DESTDIR=", "no-packages")
        self.assertNotEqual(status, 0)
        self.assertIn("or modules: apt-get purge vfence-common libvfence-dev\n", output)
        self.assertEqual(self.make("no-packages")[0], 0)
        for target in ("install-headers", "install-tools", "uninstall"):
            self.assertIn("dpkg-query", self.make("DESTDIR=", "--dry-run", target)[1])

    def test_packages_have_other_files_than_another_prefix(self):
        self.program("dpkg-query", "echo installed $*")
        for target in ("install-headers", "install-tools"):
            output = self.make("DESTDIR=", "PREFIX=/opt/v", "--dry-run", target)[1]
            self.assertNotIn("dpkg-query", output)
        # The modules are not below the prefix.
        for target in ("install", "install-modules", "uninstall"):
            output = self.make("DESTDIR=", "PREFIX=/opt/v", "--dry-run", target)[1]
            self.assertIn("'vfence-modules-*' vfence-dkms", output)
            self.assertNotIn("'vfence-*'", output)

    def test_paths_with_a_space_are_refused(self):
        for name in ("DESTDIR", "PREFIX", "DOCDIR", "KDIR"):
            for value in ("/none /usr", "/none "):
                status, output = self.make(f"{name}={value}", "--dry-run", "uninstall")
                self.assertNotEqual(status, 0, output)
                self.assertIn(f"{name}='{value}' has a space", output)

    def test_udev_is_left_alone_by_other_users_than_root(self):
        self.program("udevadm", "false")
        words = ["DESTDIR=", f"PREFIX={self.path('home')}", f"UDEV={self.directory}",
                 "install-udev"]
        for user, fails in ((1000, False), (0, True)):
            self.program("id", f"echo {user}")
            status, output = self.make(*words)
            self.assertEqual(status != 0, fails, output)
            self.assertTrue(os.path.exists(self.path("home/lib/udev/rules.d/60-vfence.rules")))

    def test_modules_that_were_not_built_are_reported(self):
        status, output = self.make("install")
        self.assertNotEqual(status, 0)
        self.assertIn("nothing to install: run make KDIR=", output)

    def test_modules_for_another_kernel_are_refused(self):
        for name in ("modules.order", "vfence.ko"):
            self.write(f"tree/{name}", "")
        self.write("kernel/include/config/kernel.release", "1.3\n")
        status, output = self.make("install-modules")
        self.assertNotEqual(status, 0)
        self.assertIn(f"the modules were built for 1.2, but {self.path('kernel')} is the tree of "
                      "1.3: run make KDIR=", output)
        self.assertEqual(self.installed(), [])

    def test_sources_that_cannot_be_read_fail(self):
        os.unlink(self.path("tree/Kbuild"))
        self.assertNotEqual(self.make("install-vm")[0], 0)

    def test_clean_keeps_the_sources(self):
        for path in ("tools/x/src/y_generated.rs", "rust/compat/compat.mk"):
            self.write(f"tree/{path}", "")
        tree = self.path("tree")
        done = subprocess.run(["make", "-C", tree, "clean"], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        for path in ("tools/x/src/y_generated.rs", "rust/compat/compat.mk", "rust/main.rs"):
            self.assertTrue(os.path.exists(os.path.join(tree, path)), path)
        for path in _BUILT:
            self.assertFalse(os.path.exists(os.path.join(tree, path)), path)


class InstallForDebian(Scratch):
    def setUp(self):
        super().setUp()
        for module, name in ((kernel, "release"), (build, "modules"), (install, "say")):
            self.addCleanup(setattr, module, name, getattr(module, name))
        # The packages that were fetched.
        self.releases = {name: install._pin(name) for name in install.KERNELS}
        self.fetched = []
        kernel.release = lambda name="stock": self.fetched.append(name) or self.releases[name]
        build.modules = lambda name: [self.path("vfence.ko"), self.path("vfence_drm.ko")]
        for path in build.modules("stock"):
            self.write(path, "")
        self.said = []
        install.say = self.said.append

    def test_modules_are_installed_below_the_destination(self):
        install.run(self.path("root"), "stock")
        updates = self.path(f"root/lib/modules/{self.releases['stock']}/updates")
        self.assertEqual(sorted(os.listdir(updates)), ["vfence.ko", "vfence_drm.ko"])
        self.assertEqual(self.said, [f"vfence: {updates}/vfence.ko",
                                     f"vfence: {updates}/vfence_drm.ko"])

    def test_running_kernel_is_chosen(self):
        for name, release in self.releases.items():
            self.assertEqual(install.choose(release), name)
        self.assertIn("rt", self.releases)
        # No package is fetched for the answer.
        self.assertEqual(self.fetched, [])

    def test_other_kernels_are_not_taken_for_one_of_debian(self):
        for release in ("6.12.94+deb13-amd64", "7.3.4+deb13-cloud-amd64", "7.3.4", "7.3.4-custom",
                        "7.3.4+deb13-amd64-unsigned"):
            self.assertIsNone(install.running(release), release)
            self.assertEqual(install.choose(release), "stock")
        self.assertEqual(self.fetched, [])

    def test_other_point_release_is_a_kernel_of_its_own(self):
        def packages(name):
            one = kernel.KERNELS[name]
            self.assertEqual(kernel._wanted(name).pin, f"{one.pin}-{one.flavour}")
            self.assertTrue(cache.is_stage(f"{name}-0123456789ab"))
            if one.pin != "7.3.9+deb13":
                raise archive.Gone("the archive has no such kernel")

        known = dict(kernel.KERNELS)
        with mock.patch.object(kernel, "packages", packages), \
                mock.patch.dict(kernel.KERNELS):
            self.assertEqual(install.choose("7.3.8+deb13-rt-amd64"), "stock")
            self.assertEqual(kernel.KERNELS, known)
            self.assertEqual(self.said, ["vfence: no modules for the running kernel: the archive "
                                         "has no such kernel"])
            self.assertEqual(install.choose("7.3.9+deb13-rt-amd64"), "rt_running")
            self.assertEqual(kernel.KERNELS["rt_running"].flavour, "rt-amd64")
            self.assertEqual(install.choose("7.3.9+deb13-amd64"), "stock_running")

    def test_machine_without_the_kernel_is_refused_before_anything_is_built(self):
        modules = self.path("modules")
        os.makedirs(f"{modules}/6.12.94+deb13-amd64")
        for name, wanted in ((None, "stock"), ("rt", "rt")):
            with mock.patch.object(os, "uname", lambda: mock.Mock(release="6.12.94+deb13-amd64")):
                with self.assertRaisesRegex(Failure, "this machine runs 6.12.94.* has no kernel "
                                            + re.escape(install._pin(wanted))):
                    install.check("", name, modules)
                install.check("/elsewhere", name, modules)
                os.makedirs(f"{modules}/7.3.9+deb13-{kernel.KERNELS[wanted].flavour}")
                install.check("", name, modules)
        with mock.patch.object(os, "uname", lambda: mock.Mock(release="7.2.1+deb13-amd64")):
            with self.assertRaises(Failure):
                install.check("", None, modules)
        self.assertEqual(self.fetched, [])

    def test_make_checks_the_machine_before_it_builds(self):
        done = subprocess.run(["make", "-C", build.CHECKOUT, "--dry-run", "DESTDIR=/none",
                               "KERNEL=rt", "install"], check=True, text=True,
                              stdout=subprocess.PIPE)
        calls = re.findall("tools/env (.*)", done.stdout)
        self.assertEqual(calls[:2], ["install --check --kernel=rt '/none'", "build --kernel=rt"])

    def test_missing_kernel_is_named(self):
        self.releases["rt"] = "1.2-rt-amd64"
        with self.assertRaisesRegex(Failure, "has no kernel 1.2-rt-amd64: install linux-image-1.2-"
                                             r"rt-amd64, choose with KERNEL=stock\|rt"):
            install.run("", "rt")

    def test_kernels_that_want_signatures(self):
        self.write("lockdown", "none [integrity] confidentiality\n")
        self.write("sig_enforce", "N\n")
        self.assertTrue(install._signed_only(self.path("lockdown"), self.path("sig_enforce")))
        self.write("lockdown", "[none] integrity confidentiality\n")
        self.assertFalse(install._signed_only(self.path("lockdown"), self.path("sig_enforce")))
        self.write("sig_enforce", "Y\n")
        self.assertTrue(install._signed_only(self.path("missing"), self.path("sig_enforce")))


class Rules(Scratch):
    """A device node is `name` of a subsystem; assignments are the keys that a rule sets."""

    def setUp(self):
        super().setUp()
        text = _read(os.path.join(build.CHECKOUT, _RULES)).replace("\\\n", "")
        self.rules = []
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                self.rules.append([self.word(word) for word in line.split(",")])

    def word(self, word):
        found = re.fullmatch(r'\s*([A-Z]+)(==|\+=|=)"([^"]*)"\s*', word)
        self.assertTrue(found, f"not a rule: {word}")
        return found.groups()

    def assigned(self, name, subsystem):
        """Returns what the rules assign to a device if all files exist for which they test."""
        device = {"KERNEL": name, "SUBSYSTEM": subsystem}
        found = {}
        for rule in self.rules:
            matches = [(key, value) for key, operator, value in rule if operator == "=="]
            if all(device.get(key, value) == value for key, value in matches):
                found.update((key, value) for key, operator, value in rule if operator != "==")
        return found

    def test_nodes_of_the_group_render(self):
        self.assertEqual(self.assigned("vfence", "misc"), {"GROUP": "render", "MODE": "0660"})
        udmabuf = self.assigned("udmabuf", "misc")
        self.assertEqual(udmabuf.pop("RUN").split()[1:],
                         ["--modify", "group:kvm:rw", "$devnode"])
        self.assertEqual(udmabuf, {"GROUP": "render", "MODE": "0660"})

    def test_other_nodes_are_left_alone(self):
        for name, subsystem in (("sw_sync", "misc"), ("vfence", "block"), ("renderD128", "drm")):
            self.assertEqual(self.assigned(name, subsystem), {}, name)
