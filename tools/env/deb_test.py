# SPDX-License-Identifier: GPL-2.0
"""`make test PACKAGES=1`: installs the packages of `make deb` in a bare Debian, and removes them.

The bare Debian has Debian's kernel, udev and apt. apt installs what the packages depend on. The
suites of debian/tests run in a guest that boots from it, with the kernel as Debian installs it.
"""

import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import tempfile

import build
import cache
import chroot
import deb
import guest
import kernel
import klog
import ktap
import mirror
import root
import version
from report import Failure, Step

PACKAGES = "apt kmod udev procps initramfs-tools busybox".split()
_DIRECTORY = os.path.join(build.BUILD, "packages")
# A version that apt replaces.
_OLD = "0.0.1"
# The packages of two versions, in the root file system.
_DEBS = f"{chroot.MOUNT}/debs"
_TESTS = "debian/tests"
_APT = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--quiet", "--yes",
        "-o", "Dpkg::Options::=--force-unsafe-io", "-o", "Dpkg::Use-Pty=0",
        "-o", "APT::Sandbox::User=root"]
# The files that package management itself writes, the mount points, and those that the guest's
# emulator adds.
_IGNORED = ("dev", "proc", "run", "sys", "tmp", "opt/vfence", "var/cache", "var/lib/apt",
            "var/lib/dpkg", "var/log", "etc/resolv.conf", "etc/hosts", "etc/ssl",
            "usr/local/share/ca-certificates", "etc/ld.so.cache", "root/.cache")
# The script of the guest: a test, and the steps before and after it. busybox runs it; its shell
# takes its own modprobe, so tests have another shell.
_BOOT = """
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
mount -t securityfs securityfs /sys/kernel/security
/usr/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add --subsystem-match=misc --subsystem-match=drm
udevadm settle
cd {checkout}
/bin/sh -c {command}
status=$?
udevadm control --exit
echo '{sentinel}' > /dev/kmsg
exit $status
"""
# Prints what `modprobe` and the packages say where the kernel wants a signature.
_LOCKED = """
cat /sys/kernel/security/lockdown
modprobe vfence
/usr/libexec/vfence/explain-refusal
"""


def bare():
    """Returns the bare root file system, made if missing."""
    release = kernel.release()
    return cache.stage("root_bare", {"suite": root.SUITE, "packages": sorted(PACKAGES),
                                     "kernel": release},
                       lambda directory, log: _make_bare(directory, log, release),
                       f"a bare Debian {root.SUITE} with kernel {release}, 2 minutes")


def _make_bare(directory, log, release):
    # The kernel is in backports, with packages that it depends on. Documentation is installed: the
    # packages have manual pages.
    hook = ('rm -f "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap; chroot "$1" apt-get install --yes '
            f"--no-install-recommends -t {root.SUITE}-backports linux-image-{release}")
    root.make(directory, log, root.SUITE, PACKAGES, mirror.lines(root.SUITE),
              [f"--customize-hook={hook}"])


class System:
    """A root file system that commands change; it has the packages at _DEBS."""

    def __init__(self, directory, debs):
        self.directory = directory
        self.debs = debs
        self.output = ""
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", bare(), directory], check=True)
        self.run(*_APT, "update")

    def run(self, *command, cwd="/"):
        """Runs `command` inside; returns its exit status and output, which are kept."""
        done = subprocess.run(chroot.argv(command, cwd=cwd, lower=self.directory, keep=True,
                                          binds=[(self.debs, _DEBS), *build.HERE]),
                              check=False, text=True, errors="replace", stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output += f"$ {' '.join(command)}\n{done.stdout}"
        return done.returncode, done.stdout

    def apt(self, *words):
        """Runs apt-get; returns the problems, and its output."""
        status, output = self.run(*_APT, *words)
        return [f"apt-get {' '.join(words)}: exit status {status}"] if status else [], output

    def version(self, package):
        """Returns the version of an installed package, or None."""
        status, output = self.run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}",
                                  package)
        word, _, number = output.partition(" ")
        return number if not status and word == "installed" else None

    def boot(self, command, options=()):
        """Boots a guest with the files of the system; returns exit status, output and log."""
        with tempfile.TemporaryDirectory(prefix="vfence-packages-") as scratch:
            console = os.path.join(scratch, "console")
            open(console, "w").close()
            script = _BOOT.format(checkout=shlex.quote(build.CHECKOUT),
                                  command=shlex.quote(command),
                                  sentinel=guest.SENTINEL)
            with open(os.path.join(scratch, "out"), "w+b") as out:
                status = guest.start(_machine(self.directory, options), script, console,
                                     binds=[(scratch, scratch)], kvm=guest.kvm_works(),
                                     verbose=True, timeout=600, out=out, err=out,
                                     stdin=subprocess.DEVNULL)
                out.seek(0)
                output = out.read().decode(errors="replace")
            with open(console, errors="replace") as text:
                return status, output, text.read()


def _machine(directory, options):
    """Returns the Machine that boots the stock kernel with the root file system `directory`."""
    vm_root = f"{chroot.MOUNT}/vm-root"
    here = f"{chroot.MOUNT}/shares/0"
    return guest.Machine(
        kernel.image("stock"),
        [*kernel.binds("stock"), (directory, f"{chroot.MOUNT}/lower"),
         (os.path.join(os.path.dirname(os.path.abspath(__file__)), "vm-root"), vm_root),
         (build.CHECKOUT, here)],
        options=tuple(options), prefix=(vm_root, here, build.CHECKOUT, "ro", "--"))


def listing(directory):
    """Returns a line about each file below `directory` that packages may leave, by its path."""
    found = {}
    for folder, names, files in os.walk(directory):
        here = os.path.relpath(folder, directory)
        names[:] = [name for name in names
                    if os.path.normpath(os.path.join(here, name)) not in _IGNORED]
        for name in [*names, *files]:
            path = os.path.normpath(os.path.join(here, name))
            if path not in _IGNORED:
                found[path] = _describe(os.path.join(folder, name))
    return found


def _describe(path):
    status = os.lstat(path)
    text = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{text} -> {os.readlink(path)}"
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            return f"{text} {hashlib.sha256(file.read()).hexdigest()}"
    return text


def differences(before, after):
    """Returns how `after` differs from `before`, a line for each path."""
    words = {(True, False): "gone", (False, True): "left", (True, True): "changed"}
    return [f"{words[path in before, path in after]}: /{path}"
            for path in sorted({*before, *after}) if before.get(path) != after.get(path)]


def _expect(problem, true):
    return [] if true else [problem]


def _debs(directory, number, release):
    """Returns the packages of version `number` for the machine with kernel `release`, by name."""
    found = {}
    for name in os.listdir(directory):
        package, _, rest = name.partition("_")
        if name.endswith(".deb") and rest.startswith(f"{number}_"):
            if not package.startswith("vfence-modules-") or package.endswith(f"-{release}"):
                found[package] = f"{_DEBS}/{name}"
    return found


class _Packages:
    """The packages of two versions, and the names that the checks need."""

    def __init__(self, debs):
        self.number = version.version()
        self.release = kernel.release()
        self.modules = f"vfence-modules-{self.release}"
        self.new = _debs(debs, self.number, self.release)
        self.old = _debs(debs, _OLD, self.release)
        # DKMS and the packages of modules exclude each other.
        self.binary = sorted({*self.new} - {"vfence-dkms"})
        if self.modules not in self.new or set(self.new) != set(self.old):
            raise Failure(f"the packages are incomplete: {' '.join(sorted(self.new))}")


def _guest_suites(name, system):
    """Yields the suite render-user, run in a guest with the files of `system`, and its log."""
    status, output, log = system.boot(f"{_TESTS}/render-user")
    yield ktap.parse(f"packages.{name}-render-user", output, status)
    yield ktap.problems(f"packages.{name}-log", {"lines": klog.judge(log, guest.SENTINEL)})


def _locked_suite(name, system, words):
    """Returns the suite that checks what a user reads where the kernel wants a signature.

    No key of the machine is enrolled, so modprobe fails. `words` are in the explanation.
    """
    _, output, _ = system.boot(_LOCKED, ["lockdown=integrity"])
    checks = {"locked_down": _expect("the kernel is not locked down", "[integrity]" in output),
              "refused": _expect(
                  "modprobe did not fail as expected",
                  "could not insert 'vfence': Operation not permitted\n" in output)}
    for word in words:
        checks[f"says_{word.replace(' ', '_')}"] = _expect(f"no '{word}'", word in output)
    suite = ktap.problems(f"packages.{name}-lockdown", checks)
    suite.output = output
    return suite


def _binary(packages, debs):
    """Yields the suites of the packages that have modules."""
    system = System(os.path.join(_DIRECTORY, "binary"), debs)
    checks = {}
    # vfence-tools depends on it, and apt does not remove it with the package.
    checks["python3"], _ = system.apt("install", "--no-install-recommends", "python3")
    before = listing(system.directory)
    checks["install"], _ = system.apt("install", "--no-install-recommends",
                                      *(packages.old[name] for name in packages.binary))
    for name in packages.binary:
        checks[f"old_{name}"] = _expect(f"no version {_OLD}", system.version(name) == _OLD)
    checks["upgrade"], _ = system.apt("install", "--no-install-recommends",
                                      *(packages.new[name] for name in packages.binary))
    for name in packages.binary:
        checks[f"new_{name}"] = _expect(f"no version {packages.number}",
                                        system.version(name) == packages.number)
    status, output = system.run("dpkg", "--verify", *packages.binary)
    checks["verify"] = [*output.splitlines(), *_expect("dpkg --verify failed", not status)]
    yield _with_output(ktap.problems("packages.binary-install", checks), system)
    yield from _guest_suites("binary", system)
    yield _locked_suite("binary", system, ["is not signed", "vfence-dkms", "mokutil --import"])
    checks = {}
    checks["remove"], _ = system.apt("remove", *packages.binary)
    # No package has a configuration file, which only a purge would remove.
    checks["nothing_left"] = differences(before, listing(system.directory))
    yield _with_output(ktap.problems("packages.binary-remove", checks), system)
    shutil.rmtree(system.directory)


def _dkms(packages, debs):
    """Yields the suites of the package from which DKMS builds."""
    release = packages.release
    series = ".".join(release.split(".")[:2])
    cloud = release.replace("-amd64", "-cloud-amd64")
    backports = ["-t", f"{root.SUITE}-backports"]
    system = System(os.path.join(_DIRECTORY, "dkms"), debs)
    own = [f"lib/modules/{release}", "usr/src"]
    before = listing(system.directory)
    checks = {}
    names = ["vfence-common", "vfence-dkms"]
    checks["install"], _ = system.apt("install", "--no-install-recommends",
                                      *(packages.old[name] for name in names))
    names += ["libvfence-dev", "vfence-tools"]
    # With pkgconf and the compiler of the headers, render-user compiles the example.
    checks["upgrade"], _ = system.apt("install", "--no-install-recommends", "pkgconf",
                                      *(packages.new[name] for name in names))
    checks["upgraded"] = _expect("the old source is still there", not os.path.exists(
        os.path.join(system.directory, f"usr/src/vfence-{_OLD}")))
    checks["headers"], output = system.apt("install", *backports, f"linux-headers-{release}",
                                           f"linux-headers-{cloud}")
    checks["says_source"] = _expect("nothing about the source package",
                                    f"needs linux-source-{series} of version" in output)
    checks["says_cloud"] = _expect("nothing about CONFIG_SYNC_FILE",
                                   f"kernel {cloud} has no CONFIG_SYNC_FILE" in output)
    with Step("building with dkms", "3 minutes on 2 cores", patience=3):
        checks["source"], _ = system.apt("install", "--no-install-recommends", *backports,
                                         f"linux-source-{series}")
    # dkms prints only where the log of a failed build is.
    system.run("sh", "-c", "tail -n 40 /var/lib/dkms/vfence/*/build/make.log || true")
    yield _with_output(ktap.problems("packages.dkms-install", checks), system)
    status, output = system.run(f"{build.CHECKOUT}/{_TESTS}/dkms")
    yield ktap.parse("packages.dkms-build", output, status)
    yield from _guest_suites("dkms", system)
    yield _locked_suite("dkms", system,
                        ["is signed by", "'Operation not permitted'", "mokutil --import"])
    checks = {}
    checks["purge"], _ = system.apt("purge", *names)
    after = listing(system.directory)
    checks["nothing_left"] = [line for line in differences(before, after) if "vfence" in line]
    checks["modules"] = [line for line in differences(before, after)
                         if line.split(" /")[1].startswith(own[0] + "/updates")]
    yield _with_output(ktap.problems("packages.dkms-remove", checks), system)
    shutil.rmtree(system.directory)


def _with_output(suite, system):
    """Returns `suite` with what the commands of `system` have printed since the last suite."""
    suite.output, system.output = system.output, ""
    return suite


def suites():
    """Yields the suites of the packages."""
    debs = os.path.join(_DIRECTORY, "debs")
    shutil.rmtree(_DIRECTORY, ignore_errors=True)
    os.makedirs(debs)
    try:
        built = deb.built(["stock"])
        for number in (_OLD, version.version()):
            directory = os.path.join(_DIRECTORY, number)
            for name in deb.make(directory, number, built):
                os.rename(os.path.join(directory, name), os.path.join(debs, name))
        packages = _Packages(debs)
    except Failure as failure:
        yield ktap.command("packages", str(failure), 1)
        return
    yield from _binary(packages, debs)
    yield from _dkms(packages, debs)
