# SPDX-License-Identifier: GPL-2.0
"""The root file systems of `vfence-vm`, and the file that keeps its stages for a CI."""

import json
import os
import struct
import tarfile
import time
from unittest import mock

import cache
import report
import vm
import vm_cache
import vm_kit
import vm_root
from report import Failure
from tests.scratch import Scratch

_ELF = b"\x7fELF\x02\x01\x01" + bytes(11)


class Case(Scratch):
    def setUp(self):
        super().setUp()
        patch = mock.patch.dict(os.environ, {"VFENCE_CACHE": self.path("cache")})
        patch.start()
        self.addCleanup(patch.stop)
        silence = mock.patch.multiple(cache, say=lambda line: None, size=lambda path: "1 MB")
        silence.start()
        self.addCleanup(silence.stop)
        for module in (report, vm_cache):
            said = mock.patch.object(module, "say")
            said.start()
            self.addCleanup(said.stop)
        self.addCleanup(self.release)

    def release(self):
        while cache._held:
            os.close(cache._held.popitem()[1])

    def options(self, *words):
        return vm._parse(["run", *words, "--", "true"])

    def program(self, machine):
        self.write("root/usr/bin/true", "")
        with open(self.path("root/usr/bin/true"), "wb") as out:
            out.write(_ELF + struct.pack("<H", machine))


class Roots(Case):
    def test_packages_in_any_order_are_the_same_stage(self):
        one = vm_root.inputs(self.options("--with", "weston,meson", "--with", "gcc,"))
        self.assertEqual(one, vm_root.inputs(self.options("--with", "gcc, meson ,weston")))
        self.assertEqual(one["packages"], ["gcc", "kmod", "meson", "procps", "weston"])
        self.assertNotEqual(one, vm_root.inputs(self.options("--with", "gcc")))

    def test_word_that_is_no_package(self):
        for word in ("--gcc", "a b", "x;y"):
            with self.assertRaisesRegex(Failure, "not the name of a Debian package"):
                vm_root.inputs(self.options(f"--with={word}"))

    def test_sets_of_packages_do_not_remove_one_another(self):
        with mock.patch.object(vm_root, "_make_debian"):
            first, _ = vm_root.find(self.options("--with", "gcc"))
            second, _ = vm_root.find(self.options("--with", "meson"))
        self.assertTrue(os.path.isdir(first) and os.path.isdir(second))
        self.assertNotEqual(first, second)

    def test_one_kind_at_a_time(self):
        with self.assertRaisesRegex(Failure, "exclude one another"):
            vm_root.find(self.options("--with", "gcc", "--root", "/"))

    def test_list_without_packages_names_no_root(self):
        self.program(62)
        options = self.options("--with", ",", "--root", self.path("root"))
        self.assertEqual(vm_root.find(options), (self.path("root"), {}))

    def test_directory(self):
        self.program(62)
        self.assertEqual(vm_root.find(self.options("--root", self.path("root"))),
                         (self.path("root"), {}))
        self.program(183)
        with self.assertRaisesRegex(Failure, "not for x86_64 .ELF machine 183"):
            vm_root.find(self.options("--root", self.path("root")))
        os.makedirs(self.path("other/photos"))
        with self.assertRaisesRegex(Failure, "not a root file system: it has neither /bin"):
            vm_root.find(self.options("--root", self.path("other")))

    def test_archive(self):
        self.program(62)
        with tarfile.open(self.path("root.tar.gz"), "w:gz") as archive:
            archive.add(self.path("root"), ".")
        found, _ = vm_root.find(self.options("--root", self.path("root.tar.gz")))
        self.assertTrue(os.path.exists(os.path.join(found, "usr/bin/true")))

    def test_file_that_is_no_archive(self):
        self.write("text", "hello")
        with self.assertRaisesRegex(Failure, "neither a directory nor a tar archive"):
            vm_root.find(self.options("--root", self.path("text")))
        with self.assertRaisesRegex(Failure, "no such directory or archive"):
            vm_root.find(self.options("--root", self.path("none")))


class Images(Case):
    def source(self, name):
        return vm_root._source(name)[0]

    def archive(self, name, *files):
        with tarfile.open(self.path(name), "w") as out:
            for file in files:
                self.write(file, "{}")
                out.add(self.path(file), f"./{file}")
        return self.path(name)

    def test_forms(self):
        self.write("layout/index.json", "{}")
        self.assertEqual(self.source(self.path("layout")), "oci:/opt/vfence/oci/layout")
        self.assertEqual(self.source(self.path("layout:v1")), "oci:/opt/vfence/oci/layout:v1")
        self.assertEqual(self.source(self.archive("d.tar", "manifest.json", "index.json")),
                         "docker-archive:/opt/vfence/oci/d.tar")
        self.assertEqual(self.source(self.archive("o.tar", "index.json")),
                         "oci-archive:/opt/vfence/oci/o.tar")
        self.assertEqual(self.source("docker://registry.example/a:1"),
                         "docker://registry.example/a:1")

    def test_what_is_no_image(self):
        self.write("text", "hello")
        os.mkdir(self.path("empty"))
        for name, reason in (("text", "neither an OCI layout nor an archive"),
                             ("empty", "has no index.json"), ("none", "no such image")):
            with self.assertRaisesRegex(Failure, reason):
                self.source(self.path(name))
        with self.assertRaisesRegex(Failure, "neither manifest.json nor index.json"):
            self.source(self.archive("x.tar", "text"))

    def test_environment_of_the_image(self):
        def unpack(source, binds, directory, log):
            os.makedirs(os.path.join(directory, "rootfs/bin"))
            with open(os.path.join(directory, "config.json"), "w") as out:
                json.dump({"process": {"env": ["PATH=/x:/y", "A=b=c"]}}, out)
        self.write("layout/index.json", "{}")
        with mock.patch.object(vm_root, "_unpack_image", unpack):
            path, environment = vm_root.find(self.options("--oci", self.path("layout")))
        self.assertTrue(path.endswith("/rootfs"))
        self.assertEqual(environment, {"PATH": "/x:/y", "A": "b=c"})


class Kept(Case):
    def stages(self):
        return sorted(name for name in os.listdir(self.path("cache")) if cache.is_stage(name))

    def make(self, name):
        def build(directory, log):
            with open(os.path.join(directory, "content"), "w") as out:
                out.write(name)
        return cache.stage(name, {}, build)

    def test_stages_are_saved_and_restored(self):
        stages = [self.make("vm_stock"), self.make("vm_root_0123456789ab")]
        before = self.stages()
        vm_cache.save(self.path("file"), [*stages, "/usr"])
        self.release()
        cache.clear()
        vm_cache.restore(self.path("file"))
        self.assertEqual(self.stages(), before)
        with open(os.path.join(stages[0], "content")) as text:
            self.assertEqual(text.read(), "vm_stock")
        # A second time changes nothing.
        vm_cache.restore(self.path("file"))
        self.assertEqual(self.stages(), before)

    def test_missing_file_is_an_empty_cache(self):
        vm_cache.restore(self.path("none"))
        self.assertFalse(os.path.exists(self.path("cache")))

    def test_incomplete_file_is_renamed_so_that_a_job_saves_a_new_one(self):
        vm_cache.save(self.path("file"), [self.make("vm_stock")])
        self.release()
        cache.clear()
        os.truncate(self.path("file"), os.stat(self.path("file")).st_size // 3)
        vm_cache.restore(self.path("file"))
        self.assertEqual(self.stages(), [])
        self.assertFalse(os.path.exists(self.path("file")))
        self.assertTrue(os.path.exists(self.path("file.bad")))

    def test_stage_that_a_run_has_made_meanwhile_is_kept(self):
        path = self.make("vm_stock")
        vm_cache._add(self.path("none"), os.path.basename(path))
        self.assertEqual(self.stages(), [os.path.basename(path)])

    def test_other_files_are_refused(self):
        with tarfile.open(self.path("tar"), "w") as archive:
            archive.add(__file__, "root-0123456789ab/text")
        with self.assertRaisesRegex(Failure, "not a stage of vfence-vm"):
            vm_cache.restore(self.path("tar"))
        self.assertEqual(sorted(os.listdir(self.path("cache"))),
                         ["CACHEDIR.TAG", "logs", "vm_restore.lock"])

    def test_prune_keeps_what_runs_need(self):
        for name in ("root", "packages", "vm_stock", "vm_emulator"):
            self.make(name)
        self.release()
        vm_cache.prune()
        self.assertEqual([name.rpartition("-")[0] for name in self.stages()],
                         ["vm_emulator", "vm_stock"])

    def test_prune_removes_roots_that_no_run_has_used_for_a_month(self):
        old, new = self.make("vm_root_0123456789ab"), self.make("vm_root_ba9876543210")
        self.release()
        os.utime(old, (time.time() - 31 * 86400,) * 2)
        os.mkdir(self.path("cache/vm_restore-killed"))
        vm_cache.prune()
        self.assertEqual(self.stages(), [os.path.basename(new)])
        self.assertFalse(os.path.exists(self.path("cache/vm_restore-killed")))

    def test_run_marks_its_root_as_used(self):
        with mock.patch.object(vm_root, "_make_debian"):
            path, _ = vm_root.find(self.options())
            os.utime(path, (0, 0))
            vm_root.find(self.options())
        self.assertGreater(os.stat(path).st_mtime, time.time() - 60)

    def test_key_changes_each_month_and_with_the_build(self):
        keys = {vm_cache.key(self.options("--kernel", "debug"))}
        with mock.patch.object(vm_root.time, "strftime", return_value="2000-01"):
            keys.add(vm_cache.key(self.options("--kernel", "debug")))
        other = {"debug": vm_kit.kernel.KERNELS["debug"]._replace(make=["LLVM=2"])}
        with mock.patch.object(vm_kit.kernel, "KERNELS", other):
            keys.add(vm_cache.key(self.options("--kernel", "debug")))
        sources = vm_kit.sources()
        with mock.patch.object(vm_kit, "_hash", return_value="other"), \
                mock.patch.object(vm_kit, "sources", return_value=sources):
            keys.add(vm_cache.key(self.options("--kernel", "debug")))
        self.assertEqual(len(keys), 4)

    def test_key_depends_on_kernel_packages_and_sources(self):
        options = [self.options(), self.options("--with", "gcc"), self.options("--kernel", "rt")]
        keys = {vm_cache.key(one) for one in options}
        with mock.patch.object(vm_kit, "sources", return_value="other"):
            keys |= {vm_cache.key(one) for one in options}
        self.assertEqual(len(keys), 6)
        self.assertFalse(os.path.exists(self.path("cache")))

    def test_sources_are_those_of_the_modules(self):
        for name in ("Kbuild", "rust/a.rs", "include/uapi/a.h"):
            self.write(f"tree/{name}", "")
        before = vm_kit.sources(self.path("tree"))
        for name in ("rust/a.o", "rust/b_generated.rs", "rust/.a.cmd", "tools/env/vm.py"):
            self.write(f"tree/{name}", "")
        self.assertEqual(vm_kit.sources(self.path("tree")), before)
        for name in ("rust/b.rs", "rust/a.rs", "include/uapi/a.h", "Kbuild", "NEWS"):
            self.write(f"tree/{name}", "changed")
            after = vm_kit.sources(self.path("tree"))
            self.assertNotEqual(after, before, name)
            before = after
