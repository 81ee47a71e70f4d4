"""The identity of code: what a job runs, and nothing else, decides whether its results are stale.

Snakemake compares the times of script files and never looks at what they import. Here a script
stands for itself and for each project module that it imports, transitively, found in the syntax
tree, and a module for the data beside it that bears its name (``BESIDE``). Docstrings, comments and
layout do not count, nor do the words of an error, imports for type checkers alone, and the modules
that only run a job (``RUN_ONLY``).

Code from outside (:mod:`distillery.outside`) counts likewise: own files by their content, with what
they import of their own tree and of this library; an installed package by its name and version.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import quote, unquote

from distillery import outside, places
from distillery.errors import UserError
from distillery.places import ROOT

PACKAGE = "distillery"
# What runs a job, reports on it and puts its files in their place. It decides no result, so it is
# no part of a job's identity, and nothing that it imports is.
RUN_ONLY = ("run", "errors.py", "store/files.py")
# What a method says of its work before it runs and of where it is published, bound at the top
# level of a module, whatever follows in its name: no job reads it.
FORETOLD = ("expected_work", "CITATION")
# What a module reads of its own is named after it: winograd.py reads winograd.cpp. All of it
# counts, comments too.
BESIDE = (".cpp", ".csv")


class Tree(NamedTuple):
    """A folder in which code from outside finds what it imports.

    Attributes:
        root: the folder.
        only: the one package in it that counts; ``""`` for all.
    """

    root: Path
    only: str

    def resolve(self, module: str) -> list[Path]:
        """Return the files of this tree that importing a module runs."""
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or (self.only and top != self.only):
            return []
        files: list[Path] = []
        folder, parts = self.root, module.split(".")
        for depth, part in enumerate(parts, 1):
            if (folder / part).is_dir():  # of a user's packages, some have no `__init__.py`
                folder = folder / part
                files += [folder / "__init__.py"] * (folder / "__init__.py").is_file()
            elif (folder / f"{part}.py").is_file() and depth == len(parts):
                files.append(folder / f"{part}.py")
            else:
                break
        return files

    def holds(self, path: Path) -> bool:
        """Return whether a file is one of this tree."""
        return path.is_relative_to(self.root / self.only if self.only else self.root)


@functools.cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _tree(path: Path) -> ast.Module:
    try:
        return _parsed(_text(path))
    except (SyntaxError, ValueError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(f"{path}: {line}is not Python: {said}") from None


def _resolve(module: str, root: Path) -> list[Path]:
    """Return the files that importing a dotted project module runs: its packages' ``__init__``
    files and its own."""
    files: list[Path] = []
    folder, parts = root, module.split(".")
    for depth, part in enumerate(parts):
        if (folder / part / "__init__.py").is_file():
            folder = folder / part
            files.append(folder / "__init__.py")
        elif (folder / f"{part}.py").is_file() and depth == len(parts) - 1:
            files.append(folder / f"{part}.py")
        else:
            break
    return files


def _runs_only(path: Path, root: Path) -> bool:
    """Return whether a project file only runs jobs."""
    return any(path.is_relative_to(root / PACKAGE / each) for each in RUN_ONLY)


def _for_type_checkers(node: ast.AST) -> bool:
    """Return whether ``node`` is ``if TYPE_CHECKING:``, whose body never runs."""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    if isinstance(test, ast.Attribute) and isinstance(test.value, ast.Name):
        return (test.value.id, test.attr) == ("typing", "TYPE_CHECKING")
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Return every statement inside ``node`` that may run; imports are nowhere else, and
    expressions are most of a tree."""
    for field in (
        ("orelse",)
        if _for_type_checkers(node)
        else ("body", "orelse", "finalbody", "handlers", "cases")
    ):
        for child in getattr(node, field, ()):
            yield child
            yield from _statements(child)


def is_outside(path: Path, root: Path) -> bool:
    """Return whether a file is neither of the library nor of the workflow."""
    own = root / PACKAGE, places.workflow(root) / "workflow"
    return not any(path.is_relative_to(folder) for folder in own)


def _absolute(path: Path, node: ast.ImportFrom, trees: tuple[Tree, ...]) -> str:
    """Return the full name of the package or module that ``node`` imports from.

    Raises:
        UserError: it is a relative import where there is no package above.
    """
    if not node.level:
        return node.module or ""
    tree = next((tree for tree in trees if tree.holds(path)), None)
    above = path.relative_to(tree.root).parent.parts if tree else ()
    if len(above) < node.level:
        raise UserError(
            f"{path}: relative import on line {node.lineno}: "
            + (
                "the file has no package above; import what lies beside it by its name"
                if tree
                else "import project modules by their full name"
            )
        )
    parts = above[: len(above) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else ())])


@functools.cache
def _imports(path: Path, root: Path, trees: tuple[Tree, ...]) -> tuple[Path, ...]:
    files: list[Path] = []
    reached = trees if is_outside(path, root) else ()
    for node in _statements(_tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(path, node, reached)
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name == PACKAGE or name.startswith(PACKAGE + "."):
                files.extend(_resolve(name, root))
            else:
                for tree in reached:
                    files.extend(tree.resolve(name))
    return tuple(dict.fromkeys(files))


def closure(start: Iterable[Path], root: Path = ROOT, trees: tuple[Tree, ...] = ()) -> list[Path]:
    """Return every file that decides what running the files of ``start`` gives: themselves and what
    they import of the project, and from outside of ``trees``; sorted."""
    seen: set[Path] = set()
    todo = list(start)
    while todo:
        path = todo.pop()
        if path not in seen and not _runs_only(path, root):
            seen.add(path)
            todo.extend(_imports(path, root, trees))
    return sorted(seen)


_STATEMENTS = ("body", "orelse", "finalbody")  # the fields of a node that have them


def _counting(parent: ast.AST, field: str, nodes: list[Any]) -> list[Any]:
    """Return what of a list of nodes counts: no docstring, no imports for type checkers, not
    what a method says of its work beforehand, and not the version number, which alone changes no
    result."""
    if field not in _STATEMENTS:
        return nodes
    nodes = [node for node in nodes if not (isinstance(node, ast.Assign) and _is_version(node))]
    if isinstance(parent, ast.Module):
        nodes = [node for node in nodes if not _is_foretold(node)]
    nodes = [
        part for node in nodes for part in (node.orelse if _for_type_checkers(node) else [node])
    ]
    if (
        field == "body"
        and isinstance(parent, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and nodes
    ):
        first = nodes[0]
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            return nodes[1:]
    return nodes


def _is_version(node: ast.Assign) -> bool:
    return any(
        isinstance(target, ast.Name) and target.id == "__version__" for target in node.targets
    )


def _is_foretold(node: ast.AST) -> bool:
    """Return whether a statement binds what a method says of itself and no job reads."""
    names = (
        [node.name]
        if isinstance(node, ast.FunctionDef)
        else [ast.unparse(target) for target in node.targets]
        if isinstance(node, ast.Assign)
        else []
    )
    return any(name.startswith(FORETOLD) for name in names)


def _is_error(node: ast.AST) -> bool:
    """Return whether ``node`` makes an exception: it is a call of a name such as ``UserError``."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
        return False
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
    return name.endswith(("Error", "Exception"))


def _wordless(call: ast.Call) -> ast.Call:
    """Return the call that makes an exception, without the texts that it gets: what is said of a
    failure is no result."""

    def is_text(node: ast.expr) -> bool:
        if isinstance(node, ast.BinOp):
            return is_text(node.left) and is_text(node.right)
        if isinstance(node, ast.IfExp):
            return is_text(node.body) and is_text(node.orelse)
        return isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        )

    arguments = [argument for argument in call.args if not is_text(argument)]
    return ast.Call(call.func, arguments, call.keywords)


def _dump(node: Any) -> str:
    """Return a text of the tree that is the same in every Python version: empty and absent fields
    are left out."""
    if isinstance(node, ast.Name):  # a third of all: not by its fields
        return f"Name(id={node.id!r},ctx={type(node.ctx).__name__}())"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        node = ast.Raise(_wordless(node.exc), node.cause)
    elif isinstance(node, ast.Call) and _is_error(node):
        node = _wordless(node)
    fields: list[str] = []
    for name in node._fields:
        value: Any = getattr(node, name, None)
        if isinstance(value, list):
            nodes = _counting(node, name, cast(list[Any], value))
            text = f"[{','.join(map(_dump, nodes))}]" if nodes else ""
        else:
            absent = value is None or name in ("kind", "type_comment")
            text = "" if absent else _dump(value)
        if text:
            fields.append(f"{name}={text}")
    return f"{type(node).__name__}({','.join(fields)})"


@functools.cache
def _digest(text: str) -> str:
    return hashlib.sha256(_dump(_parsed(text)).encode()).hexdigest()


def of_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a Python file's syntax tree without docstrings and comments; of
    any other file, that of its text."""
    text = _text(path)
    return _digest(text) if path.suffix == ".py" else hashlib.sha256(text.encode()).hexdigest()


def beside(path: Path) -> list[Path]:
    """Return the data that bear a module's name, which count with it."""
    return [data for data in map(path.with_suffix, BESIDE) if data.is_file()]


@functools.cache
def fingerprint(script: str, *plugins: str, root: Path = ROOT) -> str:
    """Return what a job runs: a 16-character digest and, after a space each, the plug-ins that
    count.

    An installed copy gives what the checkout gives that it was made from.

    Args:
        script: a file name in ``workflow/scripts``.
        plugins: modules that the job imports by name at run time: files relative to the library,
            such as ``methods/dc.py``, and references to code from outside.
        root: the folder that the library is in.

    Raises:
        UserError: a project module uses a relative import, which would escape the analysis, or a
            reference leads to nothing.
    """
    path = places.workflow(root) / "workflow" / "scripts" / script
    return " ".join([_of_parts(started(plugins, path, root), root), *map(_stamped, plugins)])


def of_modules(*plugins: str, root: Path = ROOT) -> str:
    """Return a digest of what importing plug-ins runs.

    Args:
        plugins: as for :func:`fingerprint`.
        root: the folder that the library is in.

    Raises:
        UserError: as :func:`fingerprint`.
    """
    return _of_parts(started(plugins, None, root), root)


def _of_parts(parts: "Started", root: Path) -> str:
    modules = closure(parts.files, root, parts.trees)
    digest = hashlib.sha256()
    for name, module in sorted((_key(path, root, parts.trees), path) for path in modules):
        for path in (module, *beside(module)):
            shown = name.with_suffix(path.suffix).as_posix()
            digest.update(f"{shown}\0{of_file(path)}\n".encode())
    for package, version in parts.packages:
        digest.update(f"{package}\0{version}\n".encode())
    return digest.hexdigest()[:16]


class Started(NamedTuple):
    """What a job's code begins with.

    Attributes:
        files: the script, its plug-ins, and own files from outside.
        trees: where the latter find what they import.
        packages: installed ones, by name and version.
    """

    files: list[Path]
    trees: tuple[Tree, ...]
    packages: list[tuple[str, str]]


def started(plugins: Iterable[str], script: Path | None, root: Path) -> Started:
    """Return what the code of a job begins with.

    Args:
        plugins: as for :func:`fingerprint`.
        script: the job's; ``None`` for plug-ins alone.
        root: the folder that the library is in.

    Raises:
        UserError: a reference leads to nothing.
    """
    files: list[Path] = [] if script is None else [script]
    trees: list[Tree] = []
    packages: list[tuple[str, str]] = []
    for plugin in plugins:
        if not outside.is_reference(plugin):
            files.append(root / PACKAGE / plugin)
            continue
        code = outside.find(plugin)
        if code.package:
            packages.append(code.package)
        else:
            trees.append(Tree(code.root, code.only))
            # The packages above it run too.
            files += dict.fromkeys([*trees[-1].resolve(code.name), code.file])
    return Started(files, tuple(dict.fromkeys(trees)), packages)


def _key(path: Path, root: Path, trees: tuple[Tree, ...]) -> Path:
    """Return what names a file in a digest, wherever the library or the user's folder lies."""
    if is_outside(path, root):
        tree = next(tree for tree in trees if tree.holds(path))
        return path.relative_to(tree.root)
    workflow = places.workflow(root)
    return path.relative_to(workflow if path.is_relative_to(workflow) else root)


def _stamped(plugin: str) -> str:
    return quote(plugin, "/:@") if outside.is_reference(plugin) else plugin.removesuffix(".py")


def forget() -> None:
    """Read the files again that are asked about from now on. What is known of a text stays: a job
    asks twice, and most of the work is to parse what has not changed."""
    for known in (_text, _imports, fingerprint):
        known.cache_clear()


def plugins(stamp: str) -> list[str]:
    """Return the plug-ins that a ``fingerprint`` was given."""
    return [
        unquote(name) if outside.is_reference(name) else f"{name}.py"
        for name in stamp.split(" ")[1:]
    ]
