"""Every public name says what it is, what it takes, what shapes it works on and what it raises.

The rules, for all packages:

* modules, classes, functions and methods have a docstring;
* a list of arguments ("Args:") is complete, and what is in it exists;
* an exception that a function raises itself stands in its docstring, or in that of the class it
  makes; of a function that says what it refuses it is a ValueError;
* an array has its shape in its annotation (jaxtyping), or the docstring of the function, of its
  class or of the module states one;

and for the names that the packages of the libraries export (``__all__``) with their methods:

* more than three arguments are listed;
* where the docstring says what is done and not what comes of it, it says what is returned.

A method that answers to a protocol may refer to it: "See `...`."
"""

import ast
import importlib
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARIES = ("healswin", "s2cnn_baselines")
SOURCES = sorted(
    path for package in (*LIBRARIES, "data_prep") for path in (ROOT / package).rglob("*.py")
)

# Errors of the caller's program, which no description of its input mentions.
UNSAID = {"AttributeError", "NotImplementedError", "AssertionError", "KeyError", "StopIteration"}
ARRAY = re.compile(r"(?:(?:np\.)?ndarray|(?:torch\.)?Tensor)(?: \| None)?")
SHAPE = re.compile(
    r"\((?:\*?\w+|\.\.\.)(?: \w+)*,(?: *[\w.*^+ -]+,?)*\)|of any shape|same shape|scalar"
)
# First words of docstrings that say what is done; others name what comes of it.
DEEDS = re.compile(
    "Apply|Check|Choose|Compare|Compute|Convert|Count|Draw|Fit|Look|Measure|Resample|Run|Sample|"
    "Save|Work|Write"
)


class Function:
    """A function or method in a source file, and what its docstring says."""

    def __init__(self, node, where, owner=None, module=None):
        self.node, self.where = node, where
        texts = [ast.get_docstring(part) if part else None for part in (owner, module)]
        self.doc = ast.get_docstring(node) or ""
        if node.name == "__init__":  # its arguments are described in the class docstring
            self.doc = (texts[0] or "") + self.doc
        self.around = "\n".join(filter(None, [self.doc, *texts]))
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        static = any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
        self.arguments = arguments[1:] if owner and not static else arguments
        extra = [a for a in (node.args.vararg, node.args.kwarg) if a]
        self.names = [argument.arg for argument in (*self.arguments, *extra)]

    @property
    def listed(self):
        """Names in the list of arguments; None without one."""
        if "Args:" not in self.doc:
            return None
        section = re.split(r"\n *(?:Attributes|Returns|Yields|Raises):", self.doc.split("Args:")[1])
        entries = section[0].strip("\n").splitlines()
        indent = len(entries[0]) - len(entries[0].lstrip())
        return re.findall(rf"^ {{{indent}}}\**(\w+)(?:, \**\w+)*:", section[0], re.MULTILINE)

    @property
    def refers(self):
        return self.doc.startswith("See `")

    @property
    def is_hook(self):
        """Whether another library calls it, whose words its arguments have."""
        return self.node.name.startswith("on_")

    def raised(self):
        """Names of the exceptions that it raises itself."""
        found, waiting = set(), list(self.node.body)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
                continue
            if isinstance(node, ast.Raise) and node.exc is not None:
                error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                if isinstance(error, ast.Name) and error.id[0].isupper():
                    found.add(error.id)
            waiting += ast.iter_child_nodes(node)
        return found - UNSAID


def public(name):
    return name == "__init__" or not name.startswith("_")


def functions(path):
    module = ast.parse(path.read_text(encoding="utf-8"))
    where = path.relative_to(ROOT)
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and public(node.name):
            yield Function(node, f"{where}:{node.lineno} {node.name}", None, module)
        if isinstance(node, ast.ClassDef) and public(node.name):
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and public(part.name):
                    name = f"{where}:{part.lineno} {node.name}.{part.name}"
                    yield Function(part, name, node, module)


FUNCTIONS = [function for path in SOURCES for function in functions(path)]


def test_everything_public_has_a_docstring():
    silent = [f.where for f in FUNCTIONS if not f.doc and f.node.name != "__init__"]
    for path in SOURCES:
        module = ast.parse(path.read_text(encoding="utf-8"))
        classes = [n for n in module.body if isinstance(n, ast.ClassDef) and public(n.name)]
        parts = [module, *classes]
        silent += [f"{path}: {ast.unparse(n)[:60]}" for n in parts if not ast.get_docstring(n)]
    assert silent == []


def test_lists_of_arguments_are_complete():
    wrong = {
        function.where: sorted(set(function.listed) ^ set(function.names))
        for function in FUNCTIONS
        if function.node.name != "__init__"
        and function.listed is not None
        and set(function.listed) != set(function.names)
    }
    assert wrong == {}


def test_errors_are_said():
    unsaid = {
        function.where: missing
        for function in FUNCTIONS
        if not function.refers
        and (missing := {error for error in function.raised() if error not in function.doc})
        and not (missing == {"ValueError"} and function.doc.startswith("Refuse "))
    }
    assert unsaid == {}


def test_arrays_have_shapes():
    shapeless = [
        f"{function.where}: {argument.arg}"
        for function in FUNCTIONS
        for argument in function.arguments
        if argument.annotation is not None
        and ARRAY.fullmatch(ast.unparse(argument.annotation))
        and not SHAPE.search(function.around)
    ]
    assert shapeless == []


def exported():
    """Functions and methods behind the names in every package's ``__all__``."""
    found = {}
    for library in LIBRARIES:
        for init in sorted((ROOT / library).rglob("__init__.py")):
            package = importlib.import_module(".".join(init.parent.relative_to(ROOT).parts))
            for name in getattr(package, "__all__", ()):
                value = getattr(package, name)
                if getattr(value, "__module__", None) and hasattr(value, "__qualname__"):
                    home = ROOT / f"{value.__module__.replace('.', '/')}.py"
                    found.setdefault(home if home.exists() else init, set()).add(value.__name__)
    for path, names in sorted(found.items()):
        for function in functions(path):
            if function.where.split()[1].split(".")[0] in names:
                yield function


def test_what_packages_export_lists_its_arguments():
    unlisted = [
        function.where
        for function in exported()
        if len(function.names) > 3
        and function.listed is None
        and not (function.refers or function.is_hook)
    ]
    assert unlisted == []


def test_what_packages_export_says_what_it_returns():
    silent = [
        function.where
        for function in exported()
        if function.node.returns is not None
        and ast.unparse(function.node.returns) not in ("None", "Self", "NoReturn")
        and not function.is_hook
        and DEEDS.fullmatch(function.doc.split(" ")[0])
        and not re.search(r"^(?:Returns|Yields):|\breturns?\b", function.doc, re.MULTILINE)
    ]
    assert silent == []


def test_every_exported_name_exists():
    for library in LIBRARIES:
        for init in (ROOT / library).rglob("__init__.py"):
            package = importlib.import_module(".".join(init.parent.relative_to(ROOT).parts))
            for name in getattr(package, "__all__", ()):
                assert getattr(package, name) is not None, f"{package.__name__}.{name}"
