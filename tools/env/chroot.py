# SPDX-License-Identifier: GPL-2.0
"""Runs commands inside the root file system, in a mount namespace of their own.

The root is the lower layer of an overlay with its upper layer in memory, so commands cannot change
the cache, and mount points can be made anywhere. The mounts end with the last process.
"""

import os
import shlex
import subprocess

import cache
import jail
import root

# The mount point of stages inside. It does not depend on the path of the cache: the build tree of a
# kernel contains its own path.
MOUNT = "/opt/vfence"
CARGO_HOME = f"{MOUNT}/cargo"

# The host's name resolution, proxy and certificates, for cargo and apt inside.
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs",
                  "/usr/local/share/ca-certificates")
_NETWORK_ENV = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
                "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "CARGO_HTTP_CAINFO",
                "CARGO_NET_OFFLINE")
_ENV = ("TERM", "CI", "RUST_BACKTRACE", "PROPTEST_CASES")


def _environment(extra):
    env = {name: os.environ[name] for name in (*_NETWORK_ENV, *_ENV) if name in os.environ}
    env.update({
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "CARGO_HOME": CARGO_HOME,
    })
    env.update(extra)
    return [f"{name}={value}" for name, value in sorted(env.items())]


def _bind(source, target):
    """Returns shell lines that mount `source` at `target` below $root."""
    quoted = shlex.quote(target)
    if os.path.isdir(source):
        make = f'mkdir -p "$root"{quoted}'
    else:
        # resolv.conf is often a dangling link, which cannot be a mount point. A file may be the
        # host's, in a directory that is mounted already.
        make = (f'if [ -L "$root"{quoted} ] || [ ! -f "$root"{quoted} ]; then '
                f'mkdir -p "$root"{shlex.quote(os.path.dirname(target))}; '
                f'rm -f "$root"{quoted}; : > "$root"{quoted}; fi')
    return [make, f'mount --bind {shlex.quote(source)} "$root"{quoted}']


def _overlay(lower, name, target):
    """Returns shell lines that mount `lower` at `target`; what is written there is in memory."""
    return [f"mkdir -p $scratch/{name}/upper $scratch/{name}/work {target}",
            f"mount -t overlay -o lowerdir={shlex.quote(lower)},upperdir=$scratch/{name}/upper,"
            f"workdir=$scratch/{name}/work overlay {target}"]


def _script(binds, lower, scratch, second, keep):
    lines = [
        "set -e",
        f"scratch={shlex.quote(scratch)}",
        "mount -t tmpfs -o size=75% vfence $scratch",
        *([f"mkdir $scratch/root; mount --bind {shlex.quote(lower)} $scratch/root"] if keep
          else _overlay(lower, "first", "$scratch/root")),
        "root=$scratch/root",
        "mount -t proc proc $root/proc",
        "mount -t sysfs -o ro sysfs $root/sys",
        "mount --rbind /dev $root/dev",
        "mount -t tmpfs tmpfs $root/run",
        "mount -t tmpfs tmpfs $root/tmp",
    ]
    if second:
        lines += _overlay(second[0], "second", f"$root{second[1]}")
    for source, target in binds:
        lines += _bind(source, target)
    lines.append('exec chroot "$root" /usr/bin/env -i "$@"')
    return "\n".join(lines)


def argv(command, cwd="/", binds=(), env=None, lower=None, second=None,
         keep=False):
    """Returns the command line that runs `command` inside.

    `binds` is a list of (path outside, path inside). The caller must hold the stages in it.
    `lower` is another root file system, which the command changes with `keep`; `second` is one to
    mount inside, (path outside, path inside).
    """
    cargo = os.path.join(cache.directory(), "cargo")
    scratch = os.path.join(cache.directory(), "mnt")
    for path in (cargo, scratch):
        os.makedirs(path, exist_ok=True)
    everything = [(path, path) for path in _NETWORK_FILES if os.path.exists(path)]
    everything += [(cargo, CARGO_HOME), *binds]
    script = _script(everything, lower or root.path(), scratch, second, keep)
    return [*jail.PREFIX, "sh", "-c", script, "sh", *_environment(env or {}),
            "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", cwd, *command]


def run(command, **kwargs):
    """Runs `command` inside, on this terminal, and returns its exit status."""
    return subprocess.run(argv(command, **kwargs), check=False).returncode
