# Copyright (c) group_wsss contributors. All rights reserved.
"""The file of text features: words as the image tower will meet them."""
import io
import json
from typing import Any, Callable, Dict, NamedTuple, Sequence, Tuple

import numpy as np

from ...structures.arrays import read_arrays
from ...utils.errors import InputError
from ...utils.files import atomic_write

_WHAT = 'file of text features'
_LISTS = ('classes', 'words', 'background', 'templates')


class TextFeatures(NamedTuple):
    """A unit feature for each class and each background word.

    Attributes:
        features (np.ndarray): float32 ``(C + W, D)``; the classes first.
        about (dict): ``classes`` (C names), ``words`` (for each class what
            it was called), ``background`` (W words), ``templates``, and
            ``model``: ``name``, ``fingerprint`` of its image projection and
            the version of ``transformers``.
    """
    features: np.ndarray
    about: Dict[str, Any]

    @property
    def classes(self) -> Tuple[str, ...]:
        """tuple[str]: Class names."""
        return tuple(self.about['classes'])

    def save(self, path: str) -> None:
        """Write an npz.

        Args:
            path (str): The file.
        """
        buffer = io.BytesIO()
        text = json.dumps(self.about, ensure_ascii=False)
        np.savez(buffer, features=self.features, about=np.array(text))
        atomic_write(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str) -> 'TextFeatures':
        """Read a file of :meth:`save`; never executes code from it.

        Args:
            path (str): The file.

        Returns:
            TextFeatures: What was saved.

        Raises:
            InputError: Missing, damaged, or not such a file.
        """
        features, text = read_arrays(path, ('features', 'about'), _WHAT)
        try:
            about = json.loads(str(text))
            lists = [list(map(str, about[key])) for key in _LISTS]
            sizes = len(lists[0]), len(lists[1]), len(lists[2])
            fits = (
                sizes[0] == sizes[1] and min(sizes) > 0
                and isinstance(about['model']['fingerprint'], str)
                and features.dtype == np.float32 and features.ndim == 2
                and len(features) == sizes[0] + sizes[2] and np.allclose(
                    np.linalg.norm(features, axis=1), 1, atol=1e-3))
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise InputError(f'{path}: not a {_WHAT}: its arrays have the '
                             'wrong type or shape')
        return cls(features, about)


def make_text_features(encode: Callable[[Sequence[str]],
                                        np.ndarray], model: Dict[str, Any],
                       words: Dict[str,
                                   Sequence[str]], background: Sequence[str],
                       templates: Sequence[str]) -> TextFeatures:
    """Give classes and background words a feature each.

    That of a class is the mean of the unit features of all its words in all
    templates, as a unit vector.

    Args:
        encode (Callable): Texts to float32 ``(n, D)``.
        model (dict): What is written about the model, with ``fingerprint``.
        words (dict[str, Sequence[str]]): What each class is called; see
            :func:`~group_wsss.contrib.words.read_words`.
        background (Sequence[str]): Words for what is no class. Those that a
            class is called, in whatever case, are left out.
        templates (Sequence[str]): With one ``{}`` each, such as ``'a photo of
            a {}.'``.

    Returns:
        TextFeatures: Ready to be saved.

    Raises:
        InputError: A template without ``{}``, or no background word is left.
    """
    for template in templates:
        if template.count('{}') != 1:
            raise InputError(f'--template {template!r}: must have one {{}}')
    taken = {word.lower() for called in words.values() for word in called}
    rest = [word for word in background if word.lower() not in taken]
    if not rest:
        raise InputError('--background: no word is left that is no class; '
                         'without one the map of a tag is the whole image')
    rows = []
    for called in [*words.values(), *([word] for word in rest)]:
        texts = [t.replace('{}', word) for word in called for t in templates]
        mean = _unit(encode(texts)).mean(axis=0)
        rows.append(_unit(mean))
    about = dict(
        classes=list(words),
        words=[list(called) for called in words.values()],
        background=rest,
        templates=list(templates),
        model=model)
    return TextFeatures(np.stack(rows).astype(np.float32), about)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
