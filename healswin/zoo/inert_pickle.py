"""What a pickle says, without doing what it says.

A pickle is a program for a stack machine, and two of its instructions run code: looking a name up
imports a module, and REDUCE calls whatever was looked up. Python's own unpickler can be told what
it may look up, but it still calls, sets attributes, and reserves as much memory as the file asks
for. This reader is another machine for the same instructions, in which nothing can be called at
all: a name becomes a `Reference`, a call or an object a `Record` of what would have been called
with what. Numbers, texts, lists, tuples, sets and dictionaries are what they are.

The instructions and their arguments are decoded by the standard library's `pickletools.genops`; it
documents every one of them.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

# A checkpoint of 40 million parameters with its optimizer has some 100,000.
MAX_INSTRUCTIONS = 5_000_000

_ORDERED_DICT = ("collections", "OrderedDict")
# Instructions that push the argument that pickletools decoded.
_CONSTANTS = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BYTEARRAY8"}
)
_MADE = frozenset(
    {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "LIST", "EMPTY_LIST"}
    | {"DICT", "EMPTY_DICT", "EMPTY_SET", "FROZENSET"}
)
_FILLED = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})
_NAMED = frozenset(
    {"GLOBAL", "STACK_GLOBAL", "PERSID", "BINPERSID"}
    | {"INST", "OBJ", "REDUCE", "NEWOBJ", "NEWOBJ_EX"}
)
_SINGLES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})


@dataclass(frozen=True)
class Reference:
    """A class or a function that a pickle names; nothing was imported.

    Attributes:
        module: Where the pickle says it lives.
        name: Its name there, as written.
    """

    module: str
    name: str

    def __str__(self) -> str:
        """The dotted path."""
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Record:
    """An object that a pickle would have made; nothing was called.

    Attributes:
        kind: What would have been called, a `Reference` unless the pickle is odd.
        args: With what.
        state: What the object would have been given as its state; None without.
        items: What would have been appended or added to it.
        entries: Keys and values it would have been given as a dictionary.
    """

    kind: Any
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: list[tuple[Any, Any]] = field(default_factory=list)

    def __repr__(self) -> str:
        """The kind only: what is inside may be as large and as nested as the file likes."""
        return f"Record({self.kind if isinstance(self.kind, Reference) else type(self.kind)})"


@dataclass(frozen=True, eq=False)
class External:
    """A value that is not in the pickle but beside it, e.g. the numbers of a tensor.

    Attributes:
        identity: What the pickle calls it.
    """

    identity: Any


class Contents(NamedTuple):
    """What was read: the value, and every `External` that it may refer to."""

    value: Any
    externals: list[External]


def read_pickle(stream: IO[bytes] | Any) -> Contents:
    """Read one pickle, up to its end.

    Args:
        stream: Has ``read`` and ``readline``, neither of which reserves memory for more than there
            is (`io.BytesIO` and `mmap.mmap` do not); is left behind the pickle.

    Raises:
        ValueError: If this is no pickle, is cut off, is longer than `MAX_INSTRUCTIONS`, or has
            instructions that pickles of data do not have.
    """
    machine = _Machine()
    try:
        machine.run(stream)
        return Contents(machine.pop(), machine.externals)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(f"no pickle that can be read: {error}") from None


class _Machine:
    """Stack, marks and memo of a pickle while it is read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.externals: list[External] = []

    def pop(self) -> Any:
        if not self.stack:
            raise ValueError("it takes more from its stack than it has put there")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise ValueError("it takes more from its stack than it has put there")
        return self.stack[-1]

    def pop_to_mark(self) -> list[Any]:
        if not self.below:
            raise ValueError("it refers to a mark that it has not set")
        items, self.stack = self.stack, self.below.pop()
        return items

    def run(self, stream: IO[bytes] | Any) -> None:
        """Carry out the instructions of one pickle."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            name = opcode.name
            if count >= MAX_INSTRUCTIONS:
                raise ValueError(f"it has more than {MAX_INSTRUCTIONS} instructions")
            if name in _CONSTANTS:
                self.stack.append(bytes(argument) if name == "BYTEARRAY8" else argument)
            elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
                self.memo[argument] = self.top()
            elif name == "MEMOIZE":
                self.memo[len(self.memo)] = self.top()
            elif name in ("BINGET", "LONG_BINGET", "GET"):
                self.stack.append(self.memo[argument])
            elif name in _MADE:
                self._make(name)
            elif name in _FILLED:
                self._fill(name)
            elif name in _NAMED:
                self._name(name, argument)
            elif name in _SINGLES:
                self.stack.append(_SINGLES[name])
            elif name == "MARK":
                self.below.append(self.stack)
                self.stack = []
            elif name == "DUP":
                self.stack.append(self.top())
            elif name == "POP" and self.stack:
                self.stack.pop()
            elif name in ("POP", "POP_MARK"):
                self.pop_to_mark()
            elif name not in _IGNORED:
                raise ValueError(f"the instruction {name} does not belong into a pickle of data")

    def _make(self, name: str) -> None:
        """Collections."""
        if name == "TUPLE":
            made: Any = tuple(self.pop_to_mark())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            made = tuple(reversed([self.pop() for _ in range(int(name[-1]))]))
        elif name == "LIST":
            made = self.pop_to_mark()
        elif name == "DICT":
            made = dict(_pairs(self.pop_to_mark()))
        elif name == "FROZENSET":
            made = frozenset(map(_checked_key, self.pop_to_mark()))
        else:
            made = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}.get(name, set)()
        self.stack.append(made)

    def _fill(self, name: str) -> None:
        """What is put into the collection or object on top of the stack."""
        single = {"APPEND": 1, "SETITEM": 2, "BUILD": 1}.get(name)
        if single:
            values = list(reversed([self.pop() for _ in range(single)]))
        else:
            values = self.pop_to_mark()
        target = self.top()
        if name == "BUILD":
            # What is a dictionary here was an OrderedDict, whose attributes are of no use.
            if isinstance(target, Record):
                target.state = values[0]
            elif not isinstance(target, dict):
                raise ValueError(f"it gives a state to a {type(target).__name__}")
        elif name in ("SETITEM", "SETITEMS"):
            if isinstance(target, Record):
                target.entries.extend(_pairs(values))
            elif isinstance(target, dict):
                target.update(_pairs(values))
            else:
                raise ValueError(f"it sets items of a {type(target).__name__}")
        elif isinstance(target, Record):
            target.items.extend(values)
        elif name == "ADDITEMS" and isinstance(target, set):
            target.update(map(_checked_key, values))
        elif name != "ADDITEMS" and isinstance(target, list):
            target.extend(values)
        else:
            raise ValueError(f"it adds items to a {type(target).__name__}")

    def _name(self, name: str, argument: Any) -> None:
        """Names, what would be made with them, and what lies beside the pickle."""
        if name == "GLOBAL":
            made: Any = Reference(*argument.split(" ", 1))
        elif name == "STACK_GLOBAL":
            attribute, module = self.pop(), self.pop()
            if not (isinstance(module, str) and isinstance(attribute, str)):
                raise ValueError("it names something whose name is no text")
            made = Reference(module, attribute)
        elif name in ("PERSID", "BINPERSID"):
            made = External(argument if name == "PERSID" else self.pop())
            self.externals.append(made)
        elif name == "INST":
            made = Record(Reference(*argument.split(" ", 1)), tuple(self.pop_to_mark()))
        elif name == "OBJ":
            kind, *args = self.pop_to_mark()
            made = Record(kind, tuple(args))
        else:
            keywords = self.pop() if name == "NEWOBJ_EX" else {}
            args, kind = self.pop(), self.pop()
            if not isinstance(args, tuple) or not isinstance(keywords, dict):
                raise ValueError("it makes an object with arguments that are no tuple")
            made = _called(kind, args)
            if keywords and isinstance(made, Record):
                made.entries.extend(keywords.items())
        self.stack.append(made)


def _called(kind: Any, args: tuple[Any, ...]) -> Any:
    """The record of a call; an OrderedDict is a dictionary, as those keep their order too."""
    if isinstance(kind, Reference) and (kind.module, kind.name) == _ORDERED_DICT:
        pairs = args[0] if args else []
        if len(args) > 1 or not isinstance(pairs, list):
            raise ValueError("it makes an OrderedDict of something else than pairs")
        flat = []
        for pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise ValueError("it makes an OrderedDict of something else than pairs")
            flat.extend(pair)
        return dict(_pairs(flat))
    return Record(kind, args)


def _pairs(values: list[Any]) -> list[tuple[Any, Any]]:
    if len(values) % 2:
        raise ValueError("it sets a key without a value")
    return [(_checked_key(k), v) for k, v in zip(values[::2], values[1::2], strict=True)]


def _checked_key(key: Any) -> Any:
    """Keys whose hash takes no time: no tuples of tuples, no numbers made to have the same hash."""
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts:
        if isinstance(part, tuple | frozenset):
            raise ValueError("it has a nested tuple as a key")
        if isinstance(part, int) and part.bit_length() > 64:
            raise ValueError("it has a number of more than 64 bits as a key")
        if not isinstance(part, str | bytes | int | float | Reference | Record | None):
            raise ValueError(f"it has a {type(part).__name__} as a key")
    return key
