# SPDX-License-Identifier: GPL-2.0
"""The import graph of the driver: which file of `rust/` imports which.

A file imports another if a `use` declaration or a path in its code names a module, or an item of a
module, whose source is that file. `mod x;` declares a module and imports nothing. A file that holds
only `mod` declarations and re-exports is a facade: it has no imports, and a path through it imports
the file that defines the item. Test modules are left out.

Imports run from an upper layer to a lower one or stay within a layer. They form no cycle.
"""

import glob
import os
import re
from dataclasses import dataclass, field

import ktap

# The layers from top to bottom, each with the files below rust/ that are in it.
_LAYERS = [
    ("node", r"\w+_main\.rs|vfence_(misc|drm)/.*"),
    ("ioctl", r"vfence/(ioctl/.*|file\.rs)"),
    ("client", r"vfence/(client|engines|device|shared|instance|debugfs|listing|module)\.rs"),
    ("queue", r"vfence/(queue|sw_sync)/.*"),
    ("buffer", r"vfence/buffer/.*"),
    ("job", r"vfence/job/.*"),
    ("common", r"vfence/(presence|events|settings|limits|faults|backlog|budget|uarg|charged|refusal"
               r"|descriptor)\.rs"),
    ("sched", r"vfence/sched/.*"),
    ("uapi", r"uapi/.*|trace/.*"),
    ("kernel", r"kernel/.*"),
    ("bindings", r"bindings/.*"),
    ("compat", r"compat/.*"),
]
_ORDER = {name: index for index, (name, _) in enumerate(_LAYERS)}
# The scheduler is tested on the host: it imports nothing from outside its directory.
_CLOSED = "sched"

# Items of the crate root that each kernel module defines for the files that both modules compile.
_ROOT_ITEMS = {"NAME", "FDINFO", "LocalModule", "THIS_MODULE", "module_parameters"}

_BLANK = re.compile(r"""//[^\n]*|/\*.*?\*/|\b[bc]?r(\#*)".*?"\1|[bc]?"(?:\\.|[^"\\])*"
                        |b?'(?:\\[^'\n]+|[^\\'\n])'""", re.S | re.X)
_PUB = r"(?:pub(?:\s*\([^)]*\))?\s+)?"
_ATTRIBUTES = r"(?P<attributes>(?:#\[[^\]]*\]\s*)*)"
_ATTRIBUTE = re.compile(r"#!?\[[^\]]*\]")
_MOD = re.compile(rf"{_ATTRIBUTES}\b{_PUB}mod\s+(?P<name>\w+)\s*(?P<end>[;{{])")
_PATH_ATTRIBUTE = re.compile(r'path\s*=\s*"([^"]+)"')
_TEST_ATTRIBUTE = re.compile(r"\bcfg\s*\(\s*test\s*\)|\bkunit_tests\b")
_USE = re.compile(rf"\b(?P<public>{_PUB})use\s(?P<tree>[^;]*);")
_TREE_TOKEN = re.compile(r"::|[{},*]|\w+")
_VISIBILITY = re.compile(r"\bpub\s*\(\s*in\s[^)]*\)")
_EXPORTED_MACRO = re.compile(r"#\[macro_export\]\s*(?:#\[[^\]]*\]\s*)*macro_rules!\s*(\w+)")
_CODE_PATH = re.compile(r"(?<![\w:])[a-z_]\w*(?:\s*::\s*\w+)+")


@dataclass
class _Use:
    """One leaf of a `use` tree: the path, the name that it binds, the line; `*` binds all names."""
    path: tuple
    name: str
    public: bool
    line: int


@dataclass
class _Module:
    """A module: the file that has its source, its children, and the paths that it names."""
    file: str
    path: tuple
    children: dict = field(default_factory=dict)
    uses: list = field(default_factory=list)
    code: list = field(default_factory=list)
    facade: bool = False


@dataclass
class Graph:
    """`edges` maps each file to the files that it imports, each with the line that does so.

    `undeclared` has the files that are in no crate.
    """
    edges: dict
    facades: set
    undeclared: list


def _spaces(text):
    """Returns `text` with each character but line breaks replaced by a space."""
    return re.sub(r"[^\n]", " ", text)


def _blank(match):
    return _spaces(match.group())


def strip(text):
    """Returns Rust source `text` without its comments and literals, at the same offsets."""
    return _BLANK.sub(_blank, text)


def _leaves(tree):
    """Returns (path, name) of each leaf of a `use` tree: `a::{b, c as d}`."""
    tokens = _TREE_TOKEN.findall(tree)
    leaves = []

    def parse(at, prefix):
        path, name = list(prefix), None
        while at < len(tokens):
            token = tokens[at]
            if token == "{":
                at += 1
                while tokens[at] != "}":
                    at = parse(at, path)
                    at += tokens[at] == ","
                return at + 1
            if token in ",}":
                break
            if token == "as":
                name = tokens[at + 1]
                at += 1
            elif token != "::":
                path.append(token)
            at += 1
        if path[-1] == "self" and len(path) > 1:
            path.pop()
        leaves.append((tuple(path), name or path[-1]))
        return at

    parse(0, [])
    return leaves


def _closing(text, start):
    """Returns the index behind the brace that closes the one before `start`."""
    depth = 1
    for match in re.compile("[{}]").finditer(text, start):
        depth += 1 if match.group() == "{" else -1
        if not depth:
            return match.end()
    return len(text)


class _Crate:
    """The modules of one crate, found from its main file."""

    def __init__(self, directory, main):
        self.directory = directory
        self.modules = {}
        # Macros that are exported to the crate root, each with the file that defines it.
        self.macros = {}
        self._read((), main, os.path.dirname(main))

    def _read(self, path, file, children):
        """Reads the source `file` of module `path`; its children's files are in `children`."""
        with open(os.path.join(self.directory, file)) as text:
            original = text.read()
        stripped = strip(original)
        self.macros.update(dict.fromkeys(_EXPORTED_MACRO.findall(stripped), file))
        module = self._parse(path, file, original, stripped, children, 1)
        rest = _USE.sub(" ", _MOD.sub(" ", _ATTRIBUTE.sub(" ", stripped)))
        module.facade = (bool(module.children) and not rest.strip()
                         and all(use.public for use in module.uses))

    def _parse(self, path, file, original, text, children, line):
        """Reads module `path` from `text`, which is `original` without comments and literals."""
        module = self.modules[path] = _Module(file, path)
        # Inline modules are blanked once they are read: only the module's own code is left.
        at = 0
        while match := _MOD.search(text, at):
            at = match.end()
            name, inner = match["name"], (*path, match["name"])
            inline = match["end"] == "{"
            end = _closing(text, at) if inline else at
            # The path is a literal, which the stripped text does not have.
            attributes = original[match.start():match.start() + len(match["attributes"])]
            if not _TEST_ATTRIBUTE.search(attributes):
                module.children[name] = inner
                if inline:
                    self._parse(inner, file, original[at:end - 1], text[at:end - 1],
                                os.path.join(children, name), line + text.count("\n", 0, at))
                else:
                    self._find(inner, attributes, file, children)
            text = text[:match.start()] + _spaces(text[match.start():end]) + text[end:]
            at = end
        for match in _USE.finditer(text):
            where = line + text.count("\n", 0, match.start("tree"))
            module.uses += [_Use(leaf, name, bool(match["public"].strip()), where)
                            for leaf, name in _leaves(match["tree"])]
        text = _VISIBILITY.sub(_blank, _USE.sub(_blank, text))
        module.code = [(tuple(re.split(r"\s*::\s*", match.group())),
                        line + text.count("\n", 0, match.start()))
                       for match in _CODE_PATH.finditer(text)]
        return module

    def _find(self, path, attributes, parent, children):
        """Reads module `path`, which `parent` declares, from its own file."""
        if given := _PATH_ATTRIBUTE.search(attributes):
            candidates = [os.path.join(os.path.dirname(parent), given.group(1))]
        else:
            base = os.path.join(children, path[-1])
            candidates = [f"{base}.rs", os.path.join(base, "mod.rs")]
        for file in map(os.path.normpath, candidates):
            if os.path.exists(os.path.join(self.directory, file)):
                mod_rs = os.path.basename(file) == "mod.rs"
                self._read(path, file, os.path.dirname(file) if mod_rs else file[:-3])
                return
        raise FileNotFoundError(f"{parent}: no file for module {path[-1]}")

    def _start(self, module, path):
        """Returns the module where `path` begins, and the rest of it; None if in another crate."""
        first = path[0]
        if first == "crate":
            return self.modules[()], path[1:]
        if first == "self":
            return module, path[1:]
        if first == "super":
            depth = 0
            while path[depth:depth + 1] == ("super",):
                depth += 1
            here = module.path[:len(module.path) - depth]
            return self.modules[here], path[depth:]
        if first in module.children:
            return module, path
        for use in module.uses:
            # A module imported under this name. `use a::a;` names another crate.
            if use.name == first and use.path[0] != first:
                if found := self._walk(module, use.path):
                    target, rest = found
                    if not rest:
                        return target, path[1:]
        return None

    def _walk(self, module, path):
        """Returns the last module on `path`, and the names behind it; None if in another crate."""
        found = self._start(module, path)
        if not found:
            return None
        here, rest = found
        while rest and rest[0] in here.children:
            here, rest = self.modules[here.children[rest[0]]], rest[1:]
        return here, rest

    def targets(self, module, path, seen=()):
        """Returns the files that `module` imports by naming `path`."""
        found = self._walk(module, path)
        if not found or (module.path, path) in seen:
            return set()
        here, rest = found
        if not here.path and rest:
            if rest[0] in _ROOT_ITEMS:
                return set()
            if rest[0] in self.macros:
                return {self.macros[rest[0]]}
        if not here.facade or not rest:
            return {here.file}
        seen = (*seen, (module.path, path))
        glob = rest[0] == "*"
        through = [use for use in here.uses if glob or use.name == rest[0]]
        through = through or [use for use in here.uses if use.name == "*"]
        files = [self.targets(here, use.path, seen) for use in through]
        return set().union(*files) or {here.file}


def read(checkout):
    """Returns the graph of the files below rust/ in `checkout`."""
    directory = os.path.join(checkout, "rust")
    edges, facades = {}, set()
    for main in sorted(glob.glob("*_main.rs", root_dir=directory)
                       + glob.glob("*/lib.rs", root_dir=directory)):
        crate = _Crate(directory, main)
        for module in crate.modules.values():
            imports = edges.setdefault(module.file, {})
            if module.facade:
                facades.add(module.file)
                continue
            named = [(use.path, use.line) for use in module.uses] + module.code
            for path, line in named:
                for target in crate.targets(module, path) - {module.file}:
                    imports.setdefault(target, line)
    # bindgen writes files here when the modules are built with KDIR.
    files = [file for file in glob.glob("**/*.rs", root_dir=directory, recursive=True)
             if not file.endswith("_generated.rs")]
    return Graph(edges, facades, sorted(set(files) - set(edges)))


def layer(file):
    """Returns the name of the layer that `file` is in, None if in none."""
    return next((name for name, pattern in _LAYERS if re.fullmatch(pattern, file)), None)


def _components(edges):
    """Returns the sets of files that import each other, by Tarjan's algorithm."""
    index, low, stack, found = {}, {}, [], []

    def visit(file):
        index[file] = low[file] = len(index)
        stack.append(file)
        for target in sorted(edges.get(file, ())):
            if target not in index:
                visit(target)
                low[file] = min(low[file], low[target])
            elif target in stack:
                low[file] = min(low[file], index[target])
        if low[file] == index[file]:
            at = stack.index(file)
            found.append(set(stack[at:]))
            del stack[at:]

    for file in sorted(edges):
        if file not in index:
            visit(file)
    return [component for component in found if len(component) > 1]


def _shortest(edges, component):
    """Returns a shortest cycle among the files of `component`, the first file again at its end."""
    best = None
    for start in sorted(component):
        paths, known = [[start]], {start}
        while paths and not (best and len(paths[0]) + 1 >= len(best)):
            path = paths.pop(0)
            targets = sorted(component.intersection(edges.get(path[-1], ())))
            if start in targets:
                best = [*path, start]
                break
            paths += [[*path, target] for target in targets if target not in known]
            known.update(targets)
    return best


def _described(graph, component):
    """Returns the shortest cycle of `component`, each file with the line of its import."""
    cycle = _shortest(graph.edges, component)
    steps = [f"{file}:{graph.edges[file][target]}" for file, target in zip(cycle, cycle[1:])]
    line = " -> ".join([*steps, cycle[-1]])
    if len(component) > 2:
        line += f" ({len(component)} files import each other: {' '.join(sorted(component))})"
    return line


def cycles(graph):
    """Returns a line for each group of files that import each other, with its shortest cycle."""
    return [_described(graph, component) for component in _components(graph.edges)]


def disorder(graph):
    """Returns a line for each import against the order of the layers, and each file in no layer."""
    lines = []
    for file, imports in sorted(graph.edges.items()):
        if file in graph.facades:
            continue
        here = layer(file)
        if not here:
            lines.append(f"{file}: in no layer; tools/env/imports.py lists them")
            continue
        for target, line in sorted(imports.items()):
            there = layer(target)
            if there and (_ORDER[there] < _ORDER[here] or here == _CLOSED != there):
                lines.append(f"{file}:{line}: layer {here} imports {target} of layer {there}")
    return lines


def undeclared(graph):
    """Returns a line for each file that is in no crate."""
    return [f"{file}: no module declares it" for file in graph.undeclared]


def text(graph):
    """Returns the graph as lines: the layers from top to bottom, what each file of them imports."""
    lines = []
    for name in [*_ORDER, None]:
        files = sorted(file for file in graph.edges if layer(file) == name)
        if files:
            lines.append(name or "in no layer")
        for file in files:
            if file in graph.facades:
                lines.append(f"  {file}: re-exports only")
            else:
                lines.append(f"  {file} -> {' '.join(sorted(graph.edges[file])) or 'nothing'}")
    return lines


def suite(checkout):
    """Returns the checks as a suite."""
    graph = read(checkout)
    return ktap.problems("imports", {"cycles": cycles(graph), "layers": disorder(graph),
                                     "files": undeclared(graph)})


def show(checkout):
    """Prints the graph and its problems; returns the exit status."""
    graph = read(checkout)
    problems = [*(f"cycle: {line}" for line in cycles(graph)), *disorder(graph),
                *undeclared(graph)]
    print("\n".join([*text(graph), "", *problems, f"{len(problems)} problems"]))
    return 1 if problems else 0
