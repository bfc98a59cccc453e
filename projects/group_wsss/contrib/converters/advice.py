# Copyright (c) group_wsss contributors. All rights reserved.
"""Sentences about an image list that end every converter."""
import itertools
import os.path as osp
import re
import unicodedata
from collections import Counter, defaultdict
from typing import Dict, Iterable, List, Sequence, Tuple

from ...structures.image_list import IMAGE_SUFFIXES, ImageList

# images of a group, as in the configs: a rarer class has no groups of its own
GROUP_SIZE = 4
# entries of a line; the rest is counted
_SHOWN = 8
_SEPARATOR = re.compile(r'[][{}()<>"`,;|/+&\t]')
_PLURALS = (('ies', 'y'), ('ves', 'f'), ('ves', 'fe'), ('es', ''), ('s', ''))


def advise(content: ImageList) -> List[str]:
    """Say what is in a list, and what may not be what it should be.

    Args:
        content (ImageList): What a converter has read.

    Returns:
        list[str]: Lines: its notes, a warning for each kind of doubt, and
        the number of images of each class, the rarest first.
    """
    names = content.classes or ()
    counts: Counter = Counter()
    # equal for classes that are in the same images
    marks: Counter = Counter()
    for record in content.records:
        counts.update(record.labels)
        for label in record.labels:
            marks[label] += hash((record.img_id, ))
    kinds = Counter(
        osp.splitext(record.path)[1].lower() for record in content.records
        if record.path is not None)
    foreign = [(f'{count} {kind}') for kind, count in sorted(kinds.items())
               if kind not in IMAGE_SUFFIXES]
    number = {name: counts[i] for i, name in enumerate(names)}
    shown = {
        name: f'{repr(name) if _SEPARATOR.search(name) else name} {count}'
        for name, count in number.items()
    }
    order = sorted(names, key=lambda name: (number[name], name))
    doubts = [
        ('files of these kinds are not read, convert them: ', foreign),
        ('a separator or bracket in a name, are these several tags (a table '
         'takes --separator)? ',
         [repr(n) for n in names if _SEPARATOR.search(n)]),
        ('a name made of other classes, are these several tags? ',
         [repr(name) for name in names if _is_made_of(name, names)]),
        ('names so alike that they may be one class: ', [
            f'{a!r} ({number[a]}) and {b!r} ({number[b]})'
            for a, b in near_duplicates(names)
        ]),
        ('classes that are in the same images, which nothing can tell apart; '
         'is it one name, split? ', _same_images(names, counts, marks)),
        (f'fewer images than a group ({GROUP_SIZE}): ',
         [shown[n] for n in order if number[n] < GROUP_SIZE]),
    ]
    lines = [f'note: {note}' for note in content.notes]
    lines += [
        f'warning: {text}{_shorten(items)}' for text, items in doubts if items
    ]
    return lines + [
        'images of each class, rarest first: ' + ', '.join(shown[name]
                                                           for name in order)
    ]


def _shorten(items: Sequence[str]) -> str:
    """Some entries of a list, and how many more there are."""
    more = len(items) - _SHOWN
    return ', '.join(items[:_SHOWN]) + (f' and {more} more' * (more > 0))


def _plain(name: str) -> str:
    """A name without case, and with one blank between words."""
    name = unicodedata.normalize('NFKC', name).casefold()
    return ' '.join(re.findall(r'[^\W_]+', name)) or name


def _is_made_of(name: str, names: Iterable[str]) -> bool:
    """True if all words of a name are classes."""
    words = {word for word in _plain(name).split() if word != 'and'}
    return (len(words) > 1 and not _SEPARATOR.search(name)
            and words <= {_plain(other)
                          for other in names})


def _same_images(names: Sequence[str], counts: Counter,
                 marks: Counter) -> List[str]:
    together: Dict[Tuple[int, int], List[str]] = defaultdict(list)
    for i, name in enumerate(names):
        if counts[i] > 1:
            together[counts[i], marks[i]].append(name)
    return [
        ' and '.join(map(repr, found[:_SHOWN])) for found in together.values()
        if len(found) > 1
    ]


def near_duplicates(names: Sequence[str]) -> List[Tuple[str, str]]:
    """Pairs of names that differ by case, number or a slip of the pen.

    They are equal but for case, signs and a plural ending, or with one letter
    more, less, other or swapped in a word of four letters or more.
    """
    plain = {name: _plain(name) for name in names}
    singular: Dict[str, List[str]] = defaultdict(list)
    shorter: Dict[str, List[str]] = defaultdict(list)
    for name, text in plain.items():
        for key in {text} | {
                text[:-len(end)] + put
                for end, put in _PLURALS if text.endswith(end)
        }:
            singular[key].append(name)
        # words one letter apart are equal when each has lost one, or none
        for key in {text
                    } | {text[:i] + text[i + 1:]
                         for i in range(len(text))}:
            shorter[key].append(name)
    pairs = {
        pair
        for found in singular.values()
        for pair in itertools.combinations(sorted(found), 2)
    }
    pairs |= {(a, b)
              for found in shorter.values()
              for a, b in itertools.combinations(sorted(found), 2)
              if _is_slip(plain[a], plain[b])}
    return sorted(pairs)


def _is_slip(first: str, second: str) -> bool:
    """True if one letter of one longer word makes the difference."""
    if re.sub(r'\d', '', first) == re.sub(r'\d', '', second):
        return first == second  # numbers are meant
    words = first.split(), second.split()
    if len(words[0]) == len(words[1]):
        apart = [pair for pair in zip(*words) if pair[0] != pair[1]]
        if len(apart) > 1 or max(map(len, apart[0])) < 4:
            return False
    start = len(osp.commonprefix([first, second]))
    first, second = first[start:][::-1], second[start:][::-1]
    end = len(osp.commonprefix([first, second]))
    first, second = first[end:], second[end:]
    return max(len(first), len(second)) <= 1 or (len(first) == 2
                                                 and first == second[::-1])
