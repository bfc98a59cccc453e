# Copyright (c) group_wsss contributors. All rights reserved.
"""The data in a pickle, read without executing anything that it asks for."""
import pickletools
from typing import Any, Dict, List

import numpy as np

from ...utils.errors import InputError

_MODULES = ('numpy.core.multiarray', 'numpy._core.multiarray')
# what a pickle of numpy's arrays and numbers names; none of it is imported
_NAMES = {
    **{
        f'{module}.{name}': name
        for module in _MODULES
        for name in ('_reconstruct', 'scalar')
    },
    'numpy.core.numeric._frombuffer': '_frombuffer',
    'numpy._core.numeric._frombuffer': '_frombuffer',
    'numpy.ndarray': 'ndarray',
    'numpy.dtype': 'dtype',
    '_codecs.encode': 'encode',
}
_NUMBERS = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4',
            'f8')
# opcode: constant that it puts on the stack
_CONSTANTS = {
    'NONE': lambda: None,
    'NEWTRUE': lambda: True,
    'NEWFALSE': lambda: False,
    'EMPTY_TUPLE': tuple,
    'EMPTY_LIST': list,
    'EMPTY_DICT': dict,
}
_LITERALS = ('BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT', 'BINSTRING',
             'SHORT_BINSTRING', 'BINUNICODE', 'SHORT_BINUNICODE',
             'BINUNICODE8', 'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8',
             'BYTEARRAY8')
_MARK = object()


class _Name:
    """Something that the pickle would have imported."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Type:
    """A data type; the byte order comes later."""

    def __init__(self, code: str) -> None:
        self.code, self.order = code, '<'


class _Array:
    """An array; the content comes later."""

    def __init__(self) -> None:
        self.value: Any = None


def load_plain_pickle(data: bytes) -> Any:
    """Read numbers, texts, containers and numpy arrays from a pickle.

    Opcodes are listed by ``pickletools``, which executes nothing, and replayed
    on a stack of our own. A name such as ``numpy.dtype`` stays a name: there
    is nothing that could be called. Any other name is refused.

    Args:
        data (bytes): The pickle, protocol 2 to 5.

    Returns:
        Any: Python objects; arrays of numbers as ``np.ndarray``, of objects
        as a flat list, numpy's numbers as Python's.

    Raises:
        InputError: Damaged, or with anything else in it; the message names
            no file.
    """
    try:
        return _plain(_Machine().run(data))
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError,
            ValueError) as error:
        raise InputError(f'a damaged pickle: {str(error)[:80]!r}') from None


class _Machine:
    """The stack and the memo of one reading."""

    def __init__(self) -> None:
        self.stack: List[Any] = []
        self.memo: Dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name == 'STOP':
                return self.stack.pop()
            if name in _LITERALS:
                self.stack.append(argument)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name]())
            elif name in ('BINGET', 'LONG_BINGET'):
                self.stack.append(self.memo[argument])
            elif name in ('BINPUT', 'LONG_BINPUT'):
                self.memo[argument] = self.stack[-1]
            elif name == 'MEMOIZE':
                self.memo[len(self.memo)] = self.stack[-1]
            elif name not in ('PROTO', 'FRAME'):
                action = getattr(self, f'do_{name.lower()}', None)
                if action is None:
                    raise InputError(f'opcode {name} is not read')
                action(argument)
        raise InputError('a damaged pickle: it is empty')

    def since_mark(self) -> List[Any]:
        """All above the last mark, which goes as well."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise InputError('a damaged pickle: a mark is missing')
        items = self.stack[place + 1:]
        del self.stack[place:]
        return items

    def do_mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def do_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.since_mark()))

    def do_tuple1(self, _: Any) -> None:
        self.stack[-1:] = [tuple(self.stack[-1:])]

    def do_tuple2(self, _: Any) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def do_tuple3(self, _: Any) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def do_append(self, _: Any) -> None:
        item = self.stack.pop()
        _of(list, self.stack[-1]).append(item)

    def do_appends(self, _: Any) -> None:
        items = self.since_mark()
        _of(list, self.stack[-1]).extend(items)

    def do_setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _of(dict, self.stack[-1])[_key(key)] = value

    def do_setitems(self, _: Any) -> None:
        items = self.since_mark()
        target = _of(dict, self.stack[-1])
        for key, value in zip(items[::2], items[1::2]):
            target[_key(key)] = value

    def do_global(self, argument: str) -> None:
        self.stack.append(_allowed(*argument.split(' ', 1)))

    def do_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_allowed(_of(str, module), _of(str, name)))

    def do_reduce(self, _: Any) -> None:
        arguments = _of(tuple, self.stack.pop())
        name = _of(_Name, self.stack.pop()).name
        if name == 'dtype':
            made = _Type(_of(str, arguments[0]))
        elif name == 'encode':
            if arguments[1] != 'latin1':
                raise InputError('an encoding that is not read')
            made = _of(str, arguments[0]).encode('latin1')
        elif name == 'scalar':
            made = _scalar(_of(_Type, arguments[0]), _raw(arguments[1]))
        elif name == '_frombuffer':
            made = _Array()
            made.value = _numbers(
                _of(_Type, arguments[1]), arguments[2], arguments[0],
                arguments[3] == 'F')
        elif name == '_reconstruct':
            if _of(_Name, arguments[0]).name != 'ndarray':
                raise InputError('an object that is no array')
            made = _Array()
        else:
            raise InputError(f'a call of {name}')
        self.stack.append(made)

    def do_build(self, _: Any) -> None:
        state = _of(tuple, self.stack.pop())
        target = self.stack[-1]
        if isinstance(target, _Type):
            if state[1] not in ('<', '>', '|', '='):
                raise InputError('a data type that is not read')
            target.order = state[1]
            return
        shape, kind, fortran, content = state[1:5]
        if _of(_Type, kind).code in ('O', 'O8'):
            _of(_Array, target).value = _of(list, content)
        else:
            _of(_Array, target).value = _numbers(kind, shape, content, fortran)


def _of(kind: Any, value: Any) -> Any:
    """``value`` if it is of that type, or of one of these types."""
    if not isinstance(value, kind):
        raise InputError('a damaged pickle: an object of type '
                         f'{type(value).__name__} at a wrong place')
    return value


def _key(key: Any) -> Any:
    """A key of a dict: text or a whole number."""
    return _of((str, int), key)


def _allowed(module: str, name: str) -> _Name:
    full = f'{module}.{name}'
    if full not in _NAMES:
        raise InputError(f'it asks for {full[:80]!r}: not a plain file of '
                         'labels, and nothing of it was executed')
    return _Name(_NAMES[full])


def _raw(content: Any) -> bytes:
    """Bytes; Python 2 wrote them as text."""
    if isinstance(content, str):
        return content.encode('latin1')
    return bytes(_of((bytes, bytearray), content))


def _numbers(kind: Any, shape: Any, content: Any, fortran: Any) -> np.ndarray:
    """An array of numbers from its bytes."""
    data = _raw(content)
    if kind.code not in _NUMBERS:
        raise InputError(f'an array of type {kind.code[:80]!r}')
    shape = tuple(_of(int, side) for side in _of(tuple, shape))
    size = int(kind.code[1:])
    for side in shape:
        size *= side
    if size != len(data) or min(shape, default=0) < 0:
        raise InputError('a damaged pickle: an array of another size')
    order = '<' if kind.order in '|=' else kind.order
    flat = np.frombuffer(data, np.dtype(order + kind.code))
    return flat.reshape(shape, order='F' if fortran else 'C')


def _scalar(kind: _Type, data: bytes) -> Any:
    """A number or text of numpy."""
    if kind.code[:1] == 'U':
        order = 'be' if kind.order == '>' else 'le'
        return data.decode(f'utf-32-{order}').rstrip('\0')
    return _numbers(kind, (), data, False)[()].item()


def _plain(value: Any) -> Any:
    """Without our own types, as deep as the files are.

    No recursion: the lists of a pickle may hold themselves.
    """
    if isinstance(value, _Array):
        value = value.value
    if isinstance(value, list):
        return [_plain_dict(item) for item in value]
    return _plain_dict(value)


def _plain_dict(value: Any) -> Any:
    """A dict with arrays in place of ``_Array``."""
    if not isinstance(value, dict):
        return value
    return {
        key: item.value if isinstance(item, _Array) else item
        for key, item in value.items()
    }
