# Copyright (c) group_wsss contributors. All rights reserved.
"""Checked columns of a list of JSON objects."""
import sys
from typing import Any, Dict, Iterable, List, Mapping

import numpy as np

from ..utils.errors import InputError


class JsonTable:
    """Columns of a list of objects; the first bad entry is named."""

    def __init__(self, path: str, key: str, entries: list) -> None:
        self.path, self.key, self.entries = path, key, entries

    def where(self, place: int) -> str:
        """File, position and, if it has one, the id of an entry."""
        entry = self.entries[place]
        number = entry.get('id') if isinstance(entry, dict) else None
        known = f' (id {number})' if type(number) is int else ''
        return f'{self.path}: {self.key}[{place}]{known}'

    def refuse(self, wrong: np.ndarray, what: str) -> None:
        """Raise InputError for the first entry that is wrong."""
        if wrong.any():
            raise InputError(f'{self.where(int(wrong.argmax()))}: {what}')

    def column(self, name: str, kinds: tuple, what: str, *default:
               Any) -> list:
        """Values of a key; it must be there unless a default is given."""
        values = []
        for place, entry in enumerate(self.entries):
            if not isinstance(entry, dict):
                raise InputError(f'{self.where(place)}: not an object')
            if name not in entry and not default:
                raise InputError(f'{self.where(place)}: no {name!r}')
            values.append(entry.get(name, *default))
            if kinds and type(values[-1]) not in kinds:
                raise InputError(f'{self.where(place)}: {name!r} is no {what} '
                                 f'but {str(values[-1])[:80]!r}')
        return values

    def strings(self, name: str) -> List[str]:
        """A column of texts that are not empty."""
        values = self.column(name, (str, ), 'text')
        if '' in values:
            raise InputError(f'{self.where(values.index(""))}: {name!r} is '
                             'no text, it is empty')
        return values

    def integers(self, name: str, *default: int) -> np.ndarray:
        """A column of integers, int64."""
        values = self.column(name, (int, bool), 'integer', *default)
        try:
            return np.array(values, np.int64)
        except OverflowError:
            place = next(i for i, v in enumerate(values) if abs(v) >> 63)
            raise InputError(f'{self.where(place)}: {name!r} is no integer of '
                             '64 bits') from None

    def unique(self,
               values: Iterable[Any],
               what: str = 'id') -> Dict[Any, int]:
        """Place of each value; none may be there twice."""
        places: Dict[Any, int] = {}
        for place, value in enumerate(values):
            first = places.setdefault(value, place)
            if first != place:
                raise InputError(f'{self.where(place)}: {what} '
                                 f'{str(value)[:80]!r} is that of {self.key}'
                                 f'[{first}] as well')
        return places

    def positions(self, name: str, ids: Iterable[Any],
                  places: Mapping[Any, int], what: str) -> np.ndarray:
        """Places of the ids of a column, int64."""
        found = np.array([places.get(number, -1) for number in ids], np.int64)
        if (found < 0).any():
            value = self.entries[int((found < 0).argmax())][name]
            self.refuse(found < 0,
                        f'{name} {value!r:.80} is not among the {what}')
        return found

    def areas(self) -> np.ndarray:
        """Areas, NaN where there is none."""
        kinds = (int, float, type(None))
        values = self.column('area', kinds, 'number', None)
        for place, area in enumerate(values):
            if area is not None and not 0 <= area <= sys.float_info.max:
                what = 'NaN' if area != area else 'negative or infinite'
                raise InputError(f"{self.where(place)}: 'area' is {what}")
        return np.array(values, np.float64)
