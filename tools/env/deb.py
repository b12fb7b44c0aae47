# SPDX-License-Identifier: GPL-2.0
"""`make deb`: builds Debian's packages in build/deb, from the templates in debian/.

The source package has the tracked files of the checkout, a control file with a package of modules
for each kernel, and a changelog made from NEWS. Stage `root_deb` has debhelper and lintian. The
modules and vfence-pipeline are those of the environment, which `make test` tests: see debian/rules.
The source package has the files as they are in the checkout; its times are those of the commit.
"""

import email.utils
import os
import re
import shutil
import subprocess
import textwrap
import typing

import build
import cache
import chroot
import columns
import kernel
import mirror
import root
import version
from report import Failure, Step, run_logged, say

PACKAGES = "dpkg-dev debhelper dh-dkms lintian mandoc pkgconf python3 file".split()
DIRECTORY = os.path.join(build.BUILD, "deb")
_DEBIAN = os.path.join(build.CHECKOUT, "debian")
_MAINTAINER = re.compile(r"^Maintainer: (.*)$", re.MULTILINE)
_LINTIAN = ["lintian", "--allow-root", "--fail-on", "error,warning",
            # The project has no mail address.
            "--suppress-tags", "bogus-mail-host,bogus-mail-host-in-debian-changelog"]
# The text of `uname -v` in a boot image of Debian ends like this, with the version of its packages.
_VERSION = re.compile(rb" Debian (\S+) \(\d{4}-\d\d-\d\d\)")
# The mount point of the packages, which results must not depend on.
_WORK = f"{chroot.MOUNT}/deb"
# The kernels that have a package of modules: Debian's.
KERNELS = [name for name, one in kernel.KERNELS.items() if not one.own]
# Modules are stripped here: debhelper leaves them alone.
_STRIP = ["llvm-strip", "--strip-debug"]


class Modules(typing.NamedTuple):
    """The modules of one kernel."""
    release: str
    # Debian's name of the architecture.
    architecture: str
    # The version of the kernel's Debian packages.
    version: str
    paths: list


def path():
    """Returns the root file system with debhelper and lintian, made if missing."""
    return cache.stage("root_deb", {"suite": root.SUITE, "packages": sorted(PACKAGES)},
                       lambda directory, log: root.make(directory, log, root.SUITE, PACKAGES,
                                                        mirror.lines(root.SUITE)),
                       f"Debian {root.SUITE} with debhelper and lintian, 1 minute")


def _epoch():
    """Returns the time of the commit, in seconds."""
    command = ["git", "-c", "safe.directory=*", "-C", build.CHECKOUT, "log", "-1", "--format=%ct"]
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode:
        raise Failure(f"the packages need the checkout's git repository: {done.stderr.strip()}")
    return int(done.stdout)


def changelog(news, number, maintainer, epoch):
    """Returns the text of debian/changelog: the entry for version `number` from the text of NEWS.

    A version that NEWS does not have gets the newest entry.
    """
    entries = re.split(r"^vfence (\S+)\n", news, flags=re.MULTILINE)[1:]
    entries = dict(zip(entries[::2], entries[1::2]))
    items = entries.get(number, next(iter(entries.values()))).strip().removeprefix("* ")
    # lintian wants at most 80 columns.
    body = "\n".join(textwrap.fill(" ".join(item.split()), 78, initial_indent="  * ",
                                   subsequent_indent="    ") for item in items.split("\n* "))
    return (f"vfence ({number}) unstable; urgency=medium\n\n{body}\n\n"
            f" -- {maintainer}  {email.utils.formatdate(epoch)}\n")


def _series(release):
    return ".".join(release.split(".")[:2])


def control(common, template, modules):
    """Returns the text of debian/control with a package for each of `modules`."""
    needs = []
    for one in modules:
        for package in (f"linux-headers-{one.release}",
                        f"linux-source-{_series(one.release)}"):
            needs.append(f"\n {package} (= {one.version}) [{one.architecture}] "
                         "<!pkg.vfence.prebuilt>,")
    text = common.replace("@KERNELS@", "".join(dict.fromkeys(needs)))
    for one in modules:
        text += template.replace("@RELEASE@", one.release).replace(
            "@ARCHITECTURE@", one.architecture).replace("@VERSION@", one.version)
    return text


def _read(*names):
    with open(os.path.join(*names)) as text:
        return text.read()


def _write(text, *names):
    with open(os.path.join(*names), "w") as out:
        out.write(text)


def _source(directory, number, modules, epoch):
    """Fills `directory` with the source package's tree."""
    for name in columns.tracked(build.CHECKOUT):
        source, target = os.path.join(build.CHECKOUT, name), os.path.join(directory, name)
        if not os.path.exists(source):
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(source, target)
    common = _read(_DEBIAN, "control.in")
    maintainer = _MAINTAINER.search(common).group(1)
    _write(control(common, _read(_DEBIAN, "modules.control.in"), modules),
           directory, "debian", "control")
    # The tests for autopkgtest install the modules of the first kernel, and build for it.
    tests = os.path.join("debian", "tests", "control")
    _write(_read(build.CHECKOUT, f"{tests}.in").replace("@RELEASE@", modules[0].release).replace(
        "@SERIES@", _series(modules[0].release)), directory, tests)
    _write(changelog(_read(build.CHECKOUT, "NEWS"), number, maintainer, epoch),
           directory, "debian", "changelog")
    # git keeps no other modes, and these depend on the umask.
    for folder, _, names in os.walk(directory):
        for path_ in (folder, *(os.path.join(folder, name) for name in names)):
            os.chmod(path_, 0o755 if os.access(path_, os.X_OK) else 0o644)


def _prebuilt(directory, modules, log):
    """Fills `directory` with what debian/rules takes: the modules, stripped, and the program."""
    shutil.copy(os.path.join(build.TARGET, "release", "vfence-pipeline"), directory)
    for one in modules:
        target = os.path.join(directory, one.release)
        os.makedirs(target)
        copies = [shutil.copy(name, target) for name in one.paths]
        run_logged(chroot.argv([*_STRIP, *copies], binds=[(directory, directory)]), log,
                   "stripping the modules")


def _builds(architectures):
    """Yields the commands of dpkg-buildpackage, which leave a .changes for each architecture."""
    # -d: all is compiled already, so that the essential packages for that are not needed.
    common = ["dpkg-buildpackage", "-us", "-uc", "-d", "-Ppkg.vfence.prebuilt"]
    yield common
    for one in sorted(architectures - {"amd64"}):
        yield [*common, "-B", f"--host-arch={one}"]


def make(directory, number, modules):
    """Builds the packages of version `number` in `directory`, and returns the names of the files.

    Fails if lintian has a complaint.
    """
    shutil.rmtree(directory, ignore_errors=True)
    tree, prebuilt = (os.path.join(directory, name) for name in (f"vfence-{number}", "prebuilt"))
    for name in (tree, prebuilt):
        os.makedirs(name)
    log = os.path.join(directory, "log")
    epoch = _epoch()
    _source(tree, number, modules, epoch)
    _prebuilt(prebuilt, modules, log)
    binds = [(directory, _WORK)]
    env = {"SOURCE_DATE_EPOCH": str(epoch), "VFENCE_PREBUILT": f"{_WORK}/prebuilt"}
    with Step("packages", f"version {number}", patience=3):
        for command in _builds({one.architecture for one in modules}):
            run_logged(chroot.argv(command, cwd=f"{_WORK}/vfence-{number}", binds=binds, env=env,
                                   lower=path()), log, "building the packages")
        changes = sorted(name for name in os.listdir(directory) if name.endswith(".changes"))
        run_logged(chroot.argv([*_LINTIAN, *changes], cwd=_WORK, binds=binds, lower=path()), log,
                   "lintian")
    for name in (tree, prebuilt):
        shutil.rmtree(name)
    return sorted(os.listdir(directory))


def kernel_version(image):
    """Returns the version of the Debian packages of the kernel whose boot image is `image`.

    The release does not name it: a kernel that Debian builds again may have the same release, and
    refuses no module of the older one.
    """
    with open(image, "rb") as data:
        match = _VERSION.search(data.read())
    if not match:
        raise Failure(f"{image} does not name the version of its Debian package")
    return match.group(1).decode()


def _built(name):
    release = kernel.release(name)
    image = os.path.join(kernel.packages(name), "image/lib/modules", release, "vmlinuz")
    return Modules(release, kernel.KERNELS[name].architecture, kernel_version(image),
                   build.modules(name))


def built(kernels):
    """Builds the program and the modules for `kernels`; returns the Modules."""
    build.tools()
    return [_built(name) for name in kernels]


def run():
    """Builds the packages of the version that NEWS states, and prints their paths."""
    for name in make(DIRECTORY, version.version(), built(KERNELS)):
        if name.endswith((".deb", ".dsc", ".changes")):
            say(f"vfence: {os.path.join(DIRECTORY, name)}")
