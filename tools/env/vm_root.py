# SPDX-License-Identifier: GPL-2.0
"""The root file system of a guest of `vfence-vm`: packages, a directory, an archive or an image.

Each set of inputs has a stage of its own, so that several root file systems are in the cache.
"""

import functools
import glob
import hashlib
import json
import os
import re
import struct
import tarfile
import time

import cache
import chroot
import mirror
import root
from report import Failure, run_logged

SUITES = ["trixie", "forky"]
# How the names of the stages begin.
STAGE = "vm_root_"
# Packages that every root file system made here has, beside Debian's essential ones.
_BASE = ["kmod", "procps"]
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?")
_OCI = f"{chroot.MOUNT}/oci"
_OUT = f"{chroot.MOUNT}/out"
_OCI_TOOLS = ["skopeo", "umoci", "ca-certificates"]
# Copies an image into a layout that umoci reads, and unpacks it. Not in /tmp, which is in memory.
_UNPACK = r"""
set -e
skopeo --insecure-policy copy --quiet "$1" "oci:$2/layout:image"
umoci unpack --image "$2/layout:image" "$2/bundle"
mv "$2/bundle/config.json" "$2/bundle/rootfs" "$2/"
rm -rf "$2/layout" "$2/bundle"
"""
_DIRECTORIES = ("bin", "usr/bin")
_ELF_X86_64 = 62


def packages(words):
    """Returns the packages of a list with commas; fails if one is no name of a package."""
    names = sorted({name.strip() for word in words for name in word.split(",") if name.strip()})
    for name in names:
        if not _PACKAGE.fullmatch(name):
            raise Failure(f"'{name}' is not the name of a Debian package")
    return names


def inputs(options):
    """Returns the inputs of the stage that find() makes; None if it makes none."""
    if options.root:
        return None if os.path.isdir(options.root) else {"archive": _hash(_archive(options.root))}
    if options.oci:
        source, _, content = _source(options.oci)
        return {"image": source, "content": content}
    # A new root each month has the security fixes of its packages.
    return {"suite": options.suite or SUITES[0], "month": time.strftime("%Y-%m", time.gmtime()),
            "packages": sorted({*_BASE, *packages(options.packages)})}


def find(options):
    """Returns (path, environment) of the root file system that the options name.

    It is made if it is missing. The environment is that of a container image.
    """
    named = (options.root, options.oci, packages(options.packages) or options.suite)
    if sum(map(bool, named)) > 1:
        raise Failure("--root, --oci and --with exclude one another: each names the guest's root "
                      "file system")
    wanted = inputs(options)
    if wanted is None:
        return check(os.path.abspath(options.root), options.root), {}
    if options.root:
        path = os.path.abspath(options.root)
        return check(_stage(wanted, functools.partial(_unpack, path),
                            f"unpacking {options.root}"), options.root), {}
    if options.oci:
        return _image(options.oci, wanted)
    return _stage(wanted, functools.partial(_make_debian, wanted),
                  f"Debian {wanted['suite']} with {' '.join(wanted['packages'])}"), {}


def _stage(wanted, build, detail):
    """Returns the directory of the stage with the inputs `wanted`, and marks it as used today."""
    found = cache.stage(f"{STAGE}{cache.key(wanted)}", wanted, build, detail)
    os.utime(found)
    return found


def _make_debian(wanted, directory, log):
    suite = wanted["suite"]
    root.make(directory, log, suite, wanted["packages"], *mirror.for_suite(suite, root.SUITE))


def _archive(path):
    """Returns `path`, or fails if it is no archive."""
    if not os.path.exists(path):
        raise Failure(f"no such directory or archive: {path}")
    # Python cannot read what zstd has compressed; tar can.
    if not tarfile.is_tarfile(path) and not path.endswith(".zst"):
        raise Failure(f"{path} is neither a directory nor a tar archive")
    return path


def _unpack(path, directory, log):
    run_logged(["tar", "--extract", "--auto-compress", "--numeric-owner", "--file", path,
                "--directory", directory], log, f"unpacking {path}")


def _hash(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            total.update(block)
    return total.hexdigest()


def check(directory, what):
    """Returns `directory`, or fails with a line that says what it lacks to be a guest's root."""
    if not any(os.path.isdir(os.path.join(directory, name)) for name in _DIRECTORIES):
        raise Failure(f"{what} is not a root file system: it has neither /bin nor /usr/bin")
    machine = _machine(directory)
    if machine not in (None, _ELF_X86_64):
        raise Failure(f"the programs in {what} are not for x86_64 (ELF machine {machine})")
    return directory


def _machine(directory):
    """Returns the ELF machine of the first program in the root file system `directory`, or None."""
    for name in _DIRECTORIES:
        for path in sorted(glob.glob(os.path.join(glob.escape(directory), name, "*"))):
            # An absolute link would lead out of `directory`.
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as program:
                head = program.read(20)
            if head[:4] == b"\x7fELF" and len(head) == 20:
                return struct.unpack("<H", head[18:20])[0]
    return None


def _image(image, wanted):
    """Returns (path, environment) of the stage that has the unpacked `image`."""
    source, binds, _ = _source(image)
    found = _stage(wanted, functools.partial(_unpack_image, source, binds),
                   f"unpacking the image {image}")
    with open(os.path.join(found, "config.json")) as text:
        words = json.load(text).get("process", {}).get("env", [])
    environment = dict(word.split("=", 1) for word in words if word.find("=") > 0)
    return check(os.path.join(found, "rootfs"), image), environment


def _source(name):
    """Returns skopeo's name of an image, the mounts that it needs, and a hash of its content.

    The image is a layout or an archive on disk, with an optional `:TAG`, or has one of skopeo's
    transports such as `docker://`; the hash is then None.
    """
    if re.match(r"[a-z-]+://", name):
        return name, [], None
    path, _, tag = name.partition(":") if not os.path.exists(name) else (name, "", "")
    tag = f":{tag}" if tag else ""
    where = os.path.join(_OCI, os.path.basename(os.path.abspath(path)))
    binds = [(os.path.abspath(path), where)]
    if os.path.isdir(path):
        index = os.path.join(path, "index.json")
        if not os.path.exists(index):
            raise Failure(f"{path} is not an OCI image: it has no index.json")
        return f"oci:{where}{tag}", binds, _hash(index)
    if not os.path.exists(path):
        raise Failure(f"no such image: {path}; one of a registry begins with docker://")
    if not tarfile.is_tarfile(path):
        raise Failure(f"{path} is neither an OCI layout nor an archive of an image")
    with tarfile.open(path) as archive:
        names = [member.removeprefix("./") for member in archive.getnames()]
    # docker save writes both; its index.json has no tags that older versions of skopeo read.
    for file, transport in (("manifest.json", "docker-archive"), ("index.json", "oci-archive")):
        if file in names:
            return f"{transport}:{where}{tag}", binds, _hash(path)
    raise Failure(f"{path} is not an archive of an image: it has neither manifest.json nor "
                  "index.json")


def tools():
    """Returns the root file system with the tools that unpack images, made if missing."""
    return cache.stage("vm_oci", {"suite": root.SUITE, "packages": _OCI_TOOLS},
                       lambda directory, log: root.make(directory, log, root.SUITE, _OCI_TOOLS,
                                                        mirror.lines(root.SUITE)),
                       "Debian with skopeo and umoci")


def _unpack_image(source, binds, directory, log):
    command = ["bash", "-c", _UNPACK, "unpack", source, _OUT]
    run_logged(chroot.argv(command, binds=[*binds, (directory, _OUT)], lower=tools()), log,
               "unpacking the image")
