# Copyright (c) group_wsss contributors. All rights reserved.
import posixpath
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import parse_qs, unquote, urlsplit

from ...structures.brush_rle import decode_brush
from ...structures.segmentation import decode_segmentation
from ...structures.text_files import parse_json, read_text
from ...utils.errors import InputError
from .source import ForeignImage, ForeignMask

# results that say nothing of where something is
_NO_REGIONS = ('choices', 'taxonomy', 'textarea', 'rating', 'number')


class LabelStudioSource:
    """Masks of a Label Studio export (JSON): brush and polygons.

    The one annotation of each task that is not cancelled counts; predictions
    do not. A task belongs to ``data.img_id``, which
    :func:`group_wsss.contrib.exporters.export_label_studio` writes, else to
    the image whose whole id ends the address. Where regions overlap the later
    one counts: somebody painted over what was predicted.

    Args:
        path (str): The file.

    Raises:
        InputError: No such file, or no list of tasks.
    """

    def __init__(self, path: str) -> None:
        tasks = parse_json(read_text(path), path)
        if not isinstance(tasks, list):
            raise InputError(f'{path}: expected a list of tasks')
        self.path = path
        self.names: Optional[Tuple[str, ...]] = None
        self._by_id: Dict[str, List[Any]] = {}
        # by the last part of an address: its path, place, task
        self._by_name: Dict[str, List[Any]] = {}
        self._taken: Dict[str, str] = {}
        for number, task in enumerate(tasks):
            where = f'{path}: task[{number}]'
            data = task.get('data') if isinstance(task, dict) else None
            if not isinstance(data, dict):
                raise InputError(f"{where}: expected an object with 'data'")
            if isinstance(data.get('img_id'), str):
                self._by_id.setdefault(data['img_id'], []).append(
                    (where, task))
            elif isinstance(data.get('image'), str):
                stem = posixpath.splitext(_path_of(data['image']))[0]
                self._by_name.setdefault(posixpath.basename(stem), []).append(
                    (f'/{stem}', where, task))
            else:
                raise InputError(f"{where}: has no image under 'image'")

    def read(self, img_id: str) -> ForeignImage:
        """The masks of the one annotation; see ``Source.read``."""
        tasks = self._by_id.get(img_id) or [
            (where, task) for stem, where, task in self._by_name.get(
                posixpath.basename(img_id), ()) if stem.endswith(f'/{img_id}')
        ]
        if len(tasks) != 1:
            raise InputError(f'{self.path}: {len(tasks)} tasks of image '
                             f'{img_id!r}')
        where, task = tasks[0]
        other = self._taken.setdefault(where, img_id)
        if other != img_id:
            raise InputError(f'{where}: is it of image {other!r} or of '
                             f'{img_id!r}?')
        annotations = [
            one for one in task.get('annotations') or []
            if isinstance(one, dict) and not one.get('was_cancelled')
        ]
        if len(annotations) != 1:
            raise InputError(f'{where}: image {img_id!r} has '
                             f'{len(annotations)} annotations that are not '
                             'cancelled, expected one')
        masks: List[ForeignMask] = []
        size = None
        for place, result in enumerate(annotations[0].get('result') or []):
            spot = f'{where}: result[{place}]'
            if not isinstance(result, dict):
                raise InputError(f'{spot}: expected an object')
            if result.get('type') in _NO_REGIONS or 'value' not in result:
                continue
            this = _size(result, spot)
            if size not in (None, this):
                raise InputError(f'{spot}: the image is {this} here, {size} '
                                 'before')
            size = this
            new = _masks(result, size, spot)
            for one in masks:
                if one.name not in [region.name for region in new]:
                    one.mask[new[0].mask] = False
            masks += new
        if size is None:
            raise InputError(f'{where}: image {img_id!r} has no region, so '
                             'its size is not known; leave it out')
        return ForeignImage(size, masks)


def _path_of(address: str) -> str:
    """Path of an image in its address."""
    parts = urlsplit(address, allow_fragments=False)
    return parse_qs(parts.query).get('d', [unquote(parts.path)])[0]


def _size(result: Dict[str, Any], where: str) -> Tuple[int, int]:
    size = result.get('original_height'), result.get('original_width')
    if not all(type(side) is int and side > 0 for side in size):
        raise InputError(f"{where}: wants 'original_height' and "
                         "'original_width'")
    return size  # type: ignore[return-value]


def _masks(result: Dict[str, Any], size: Tuple[int, int],
           where: str) -> List[ForeignMask]:
    """The mask of a region, once for each of its names."""
    value = result['value'] if isinstance(result['value'], dict) else {}
    if result.get('image_rotation') not in (None, 0):
        raise InputError(f'{where}: of an image that was turned')
    try:
        if value.get('format') == 'rle':
            mask = decode_brush(value.get('rle', ()), size)
        elif isinstance(value.get('points'), list):
            flat = [
                side * whole / 100 for point in value['points']
                for side, whole in zip(point, size[::-1])
            ]
            mask = decode_segmentation([flat], *size)
        else:
            raise InputError(f'a region of type {result.get("type")!r} is no '
                             'mask: brush and polygons are')
    except InputError as error:
        raise InputError(f'{where}: {error}') from None
    except (TypeError, ValueError):
        raise InputError(
            f"{where}: 'points' are no pairs of numbers") from None
    names = value.get('brushlabels', value.get('polygonlabels'))
    if not (isinstance(names, list) and names
            and all(isinstance(name, str) for name in names)):
        raise InputError(f'{where}: has no name')
    return [ForeignMask(name, 1.0, mask) for name in names]
