# SPDX-License-Identifier: GPL-2.0
"""Builds the modules and the user programs, with the tools of the root file system.

The results are below build/ in the checkout; no other file is written.
"""

import os
import re
import shutil
import subprocess

import cache
import chroot
import clients
import kernel
from report import Failure, Step, run_logged

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(CHECKOUT, "build")
TARGET = os.path.join(BUILD, "target")
SELFTESTS = os.path.join(BUILD, "selftests")
_SELFTESTS_ARM64 = os.path.join(BUILD, "selftests_arm64")
CLIENTS = os.path.join(BUILD, "clients")
HERE = [(CHECKOUT, CHECKOUT)]
# The kernel's harness, which the C self-tests include.
KSELFTEST = f"{kernel.SOURCE}/tools/testing/selftests"

# Warnings are errors: make does not repeat the warning of an object that is up to date.
_NO_WARNINGS = ["KCFLAGS=-Werror", "KRUSTFLAGS=-Dwarnings", "CLIPPY=1",
                "CONFIG_OBJTOOL_WERROR=y"]

# In the order in which they are loaded.
MODULES = ["vfence", "vfence_drm"]

# The directories of the programs, for the guest.
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
CLIENT_PATH = f"{CLIENTS}:{_SYSTEM}"

# Of the files in results(), those that guests write.
_OF_GUESTS = re.compile(r"run-.*|results|.*\.(log|json)")

_CARGO = ["cargo", "build", "--release", "--locked", "--workspace"]
# The words with which cargo and make build the programs for arm64.
_RUST_ARM64 = "aarch64-unknown-linux-gnu"
_GCC_ARM64 = "aarch64-linux-gnu-gcc-14"
_CARGO_ARM64 = ["--target", _RUST_ARM64,
                "--config", f"target.{_RUST_ARM64}.linker='{_GCC_ARM64}'"]
_MAKE_ARM64 = [f"CC={_GCC_ARM64}", "CC32=arm-linux-gnueabihf-gcc-14 -static",
               "PKG_CONFIG=PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig pkg-config"]


def results(name):
    """Returns the directory for the modules and logs of kernel `name`."""
    path = os.path.join(BUILD, name)
    os.makedirs(path, exist_ok=True)
    return path


def _alone():
    """Holds the lock that keeps other runs from building in this checkout."""
    os.makedirs(BUILD, exist_ok=True)
    return cache.lock(os.path.join(BUILD, "lock"), "building in this checkout")


def _logged(command, log, what, binds=(), lower=None):
    """Runs `command` in the checkout with its output in `log`; prints only if slow or failed."""
    argv = chroot.argv(command, cwd=CHECKOUT, binds=[*HERE, *binds],
                       env={"CARGO_TARGET_DIR": TARGET}, lower=lower)
    with Step(what, patience=3):
        open(log, "wb").close()
        run_logged(argv, log, what)


def _forget_other_stage(directory, path):
    """Removes what was built in `directory` if that was against another stage than `path`.

    make takes the files for up to date: the headers and libraries of a stage have the times of
    their packages. Logs and results of guests stay, because a guest may be running.
    """
    stage = os.path.basename(path)
    stamp = os.path.join(directory, "tree")
    if os.path.exists(stamp):
        with open(stamp) as text:
            if text.read() == stage:
                return
    os.makedirs(directory, exist_ok=True)
    for name in os.listdir(directory):
        entry = os.path.join(directory, name)
        if _OF_GUESTS.fullmatch(name):
            continue
        if os.path.isdir(entry) and not os.path.islink(entry):
            shutil.rmtree(entry)
        else:
            os.unlink(entry)
    with open(stamp, "w") as text:
        text.write(stage)


def modules(name, directory=None):
    """Builds the modules for kernel `name` and returns their paths.

    They are in `directory`, by default one below build/ in the checkout.
    """
    if os.path.exists(os.path.join(CHECKOUT, "modules.order")):
        # make would use those objects.
        raise Failure("the modules were built in the checkout with KDIR: run 'make clean' first")
    binds = kernel.binds(name)
    if directory:
        return _modules(name, directory, [*binds, (directory, directory)])
    with _alone():
        _forget_other_stage(results(name), kernel.tree(name))
        return _modules(name, results(name), binds)


def _modules(name, directory, binds):
    log = os.path.join(directory, "module.log")
    paths = [os.path.join(directory, f"{module}.ko") for module in MODULES]
    _logged([*kernel.module_make(name), f"M={CHECKOUT}", f"MO={directory}", *_NO_WARNINGS,
             f"-j{os.cpu_count()}", "modules"],
            log, f"building the modules for the {name} kernel", binds, kernel.tools(name))
    with open(log, errors="replace") as text:
        complaints = [line.strip() for line in text if line.startswith("WARNING: modpost")]
    if complaints:
        # The next run must build them again, or it would not see the warning.
        for path in paths:
            os.unlink(path)
        raise Failure(f"the modules for the {name} kernel: {complaints[0]}")
    for path in paths:
        if not os.path.exists(path):
            raise Failure(f"the build of the modules made no {path}")
    return paths


def environment(paths):
    """Returns the environment variables that hold the `paths` of the modules."""
    return dict(zip(("VFENCE_KO", "VFENCE_DRM_KO"), paths))


def tools():
    """Builds the tools that `make install` installs."""
    _rust_programs("building the tools", ["vfence-pipeline"])


def outputs(name):
    """Returns the directories of the programs for the guests of kernel `name`."""
    if kernel.KERNELS[name].architecture == "amd64":
        return [SELFTESTS, f"{TARGET}/release"]
    return [_SELFTESTS_ARM64, f"{TARGET}/{_RUST_ARM64}/release"]


def path(name):
    """Returns the search path of the guests of kernel `name`."""
    return ":".join([*outputs(name), _SYSTEM])


def programs(name="stock", rust=None, c=None):
    """Builds the programs `rust` and the C self-tests `c` for the guests of kernel `name`.

    None stands for all of them.
    """
    arm64 = kernel.KERNELS[name].architecture != "amd64"
    lower = kernel.tools(name) if arm64 else None
    ending = " for arm64" if arm64 else ""
    if rust is None or rust:
        _rust_programs(f"building the Rust programs{ending}", rust, lower)
    if c is None or c:
        _c_programs(f"building the self-tests{ending}", c, lower)


def _rust_programs(what, names=None, arm64=None):
    """Builds the Rust programs `names`, or all of them; `what` names the step.

    `arm64` is the root file system with the tools for arm64, or None.
    """
    words, log = ([*_CARGO, *_CARGO_ARM64], "cargo_arm64") if arm64 else (_CARGO, "cargo")
    with _alone():
        # _CARGO selects the whole workspace: with its features, no library is built twice.
        _logged([*words, *(f"--bin={name}" for name in sorted(names or ()))],
                os.path.join(BUILD, f"{log}.log"), what, lower=arm64)


def _c_programs(what, names=None, arm64=None):
    """Builds C self-tests, with the parameters of _rust_programs()."""
    source = kernel.source()
    output = _SELFTESTS_ARM64 if arm64 else SELFTESTS
    with _alone():
        _forget_other_stage(output, arm64 or kernel.tools("stock"))
        _logged(["make", "-C", "selftests", f"OUTPUT={output}", f"KSELFTEST={KSELFTEST}",
                 *(_MAKE_ARM64 if arm64 else ()), f"-j{os.cpu_count()}",
                 *(f"{output}/{name}" for name in sorted(names or ()))],
                f"{output}.log", what, [(source, kernel.SOURCE)], arm64)


def client_programs():
    """Builds the programs of selftests/clients against the libraries of the older root."""
    source = kernel.source()
    lower = clients.path(clients.SUITES[0])
    with _alone():
        _forget_other_stage(CLIENTS, lower)
        _logged(["make", "-C", "selftests/clients", f"OUTPUT={CLIENTS}", f"KSELFTEST={KSELFTEST}",
                 f"-j{os.cpu_count()}"],
                os.path.join(BUILD, "clients.log"), "building the clients",
                [(source, kernel.SOURCE)], lower)


def check(command, env=()):
    """Runs a check of the sources; returns (exit status, output)."""
    done = subprocess.run(chroot.argv(command, cwd=CHECKOUT, binds=HERE,
                                      env={"CARGO_TARGET_DIR": TARGET, **dict(env)}),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")
