# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
from typing import Dict, Optional, Tuple

import numpy as np

from ...structures.label_image import open_image
from ...structures.text_files import read_text
from ...utils.errors import InputError
from ...utils.files import output_path
from .source import ForeignImage, ForeignMask

LABEL_MAP = 'labelmap.txt'
_BACKGROUND = 'background'


class CvatSource:
    """CVAT's "Segmentation mask 1.1", unpacked.

    Args:
        path (str): Folder with ``labelmap.txt`` and
            ``SegmentationClass/<img_id>.png``.

    Raises:
        InputError: No such folder, or a label map that is none.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.colours: Dict[int, str] = {}
        place = osp.join(path, LABEL_MAP)
        for number, line in enumerate(
                read_text(place, 'label map').splitlines(), 1):
            if not line.strip() or line.startswith('#'):
                continue
            name, _, rest = line.partition(':')
            colour = rest.partition(':')[0].split(',')
            try:
                red, green, blue = (int(part) for part in colour)
                code = _codes(np.array([red, green, blue])).item()
            except ValueError:
                raise InputError(f'{place}: line {number}: expected '
                                 'name:red,green,blue::') from None
            if code in self.colours:
                raise InputError(f'{place}: line {number}: the colour of '
                                 f'{self.colours[code]!r} again')
            self.colours[code] = name
        self.names: Optional[Tuple[str, ...]] = tuple(
            name for name in self.colours.values() if name != _BACKGROUND)
        if not self.names:
            raise InputError(f'{place}: names no class')

    def read(self, img_id: str) -> ForeignImage:
        """One mask a class; see ``Source.read``."""
        path = output_path(
            osp.join(self.path, 'SegmentationClass'), img_id, '.png')
        codes = _codes(np.asarray(open_image(path).convert('RGB')))
        masks = []
        for code in np.unique(codes).tolist():
            name = self.colours.get(code, _BACKGROUND if not code else None)
            if name is None:
                raise InputError(f'{path}: the colour {code:06x} is not in '
                                 f'{LABEL_MAP}')
            if name != _BACKGROUND:
                masks.append(ForeignMask(name, 1.0, codes == code))
        return ForeignImage((codes.shape[0], codes.shape[1]), masks)


def _codes(rgb: np.ndarray) -> np.ndarray:
    """One number a colour."""
    if rgb.min() < 0 or rgb.max() > 255:
        raise ValueError(rgb)
    rgb = rgb.astype(np.int64)
    return 65536 * rgb[..., 0] + 256 * rgb[..., 1] + rgb[..., 2]
