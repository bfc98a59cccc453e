# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence, Union

import numpy as np

from ..pseudo_labels import Segmentor
from ..structures.label_image import encode_index_png
from ..structures.palette import palette_of
from ..utils.errors import InputError
from ..utils.files import atomic_write, output_path, write_json
from ..utils.progress import Progress
from ..visualization import add_legend, paint_label
from .images import list_images
from .inferencer import Inputs
from .network import check_device
from .output import OVERLAYS, encode_overlay

PREDICTIONS = 'predictions.json'


class SegmentationInferencer:
    """Segment images by a network of stage 2, or any other of mmseg.

    ``SegmentationInferencer(config, weights)('image.jpg')``. Weights are read
    without running code that the file carries; images through the config's
    ``test_pipeline``, whole or by windows as its ``test_cfg`` says.
    ``mmseg.apis.MMSegInferencer`` gives the same labels.

    Args:
        model (str | Path | dict): Config of the network, or its path.
        weights (str | Path): Checkpoint.
        device (str, optional): Defaults to None, a GPU if there is one.
        palette (Sequence, optional): RGB of the labels. Defaults to None,
            see :func:`group_wsss.structures.palette.palette_of`.
        show_progress (bool): A bar on stderr. Defaults to True.

    Raises:
        InputError: A file is missing or damaged, the weights do not fit, or
            they carry no class names.
    """

    def __init__(self,
                 model: Any,
                 weights: Union[str, Path],
                 device: Optional[str] = None,
                 palette: Optional[Sequence] = None,
                 show_progress: bool = True) -> None:
        if device is not None:
            check_device(device)
        if isinstance(model, Path):
            model = str(model)
        self.net = Segmentor(model, str(weights), device=device)
        if not self.net.classes:
            raise InputError(f'{weights}: holds no class names')
        self.classes = tuple(self.net.classes)
        self.colours = palette_of(self.classes[1:], palette)
        self.show_progress = show_progress

    def __call__(self, inputs: Inputs, **kwargs: Any) -> list:
        """Segment images; arguments and results as in :meth:`stream`."""
        return list(self.stream(inputs, **kwargs))

    def stream(self,
               inputs: Inputs,
               out_dir: Optional[str] = None) -> Iterator[dict]:
        """Segment images one at a time: for more than fit in memory.

        Args:
            inputs (str | Path | np.ndarray | Sequence): See
                :func:`.images.list_images`; arrays are BGR.
            out_dir (str, optional): Write ``<id>.png``,
                ``overlays/<id>.jpg`` and ``predictions.json`` there.
                Defaults to None.

        Yields:
            dict: For each image in its order: ``img_id``, ``path`` (None of
            an array), ``label`` (uint8 ``(H, W)``, 0 the first class),
            ``pixels`` (a count for each class that occurs) and
            ``visualization`` (RGB uint8, with a legend); or, of one that
            cannot be read, ``img_id``, ``path`` and ``error``.

        Raises:
            InputError: No image, or the folder cannot be used.
        """
        images = list_images(inputs)
        if out_dir and osp.exists(osp.join(out_dir, PREDICTIONS)):
            raise InputError(f'{out_dir}: holds predictions of an earlier '
                             'call; give another folder, or remove it')
        sources = [
            osp.realpath(image.source) for image in images
            if isinstance(image.source, str)
        ]
        results = []
        told = Progress('Images') if self.show_progress else None
        for number, image in enumerate(images, 1):
            path = image.source if isinstance(image.source, str) else None
            found: dict = dict(img_id=image.img_id, path=path)
            try:
                rgb = image.rgb()
            except InputError as error:
                found['error'] = str(error)
            else:
                found.update(self._segment(rgb))
            if out_dir is not None:
                self._write(out_dir, found, sources)
                results.append({
                    key: found[key]
                    for key in ('img_id', 'path', 'pixels', 'error')
                    if key in found
                })
            if told is not None:
                told(number, len(images))
            yield found
        if out_dir is not None:
            write_json(
                osp.join(out_dir, PREDICTIONS),
                dict(classes=self.classes, images=results))

    def _segment(self, rgb: np.ndarray) -> dict:
        label = self.net.label(rgb)
        values, counts = np.unique(label, return_counts=True)
        pixels = {
            self.classes[value]: int(count)
            for value, count in zip(values, counts)
        }
        painted = paint_label(label, rgb, self.colours)
        return dict(
            label=label,
            pixels=pixels,
            visualization=add_legend(painted, label, self.classes,
                                     self.colours))

    def _write(self, out_dir: str, found: dict, sources: list) -> None:
        if 'error' in found:
            return
        path = output_path(out_dir, found['img_id'], '.png')
        if osp.realpath(path) in sources:
            raise InputError(f'{path}: is an image, its label would replace '
                             'it; give another folder')
        atomic_write(path, encode_index_png(found['label'], self.colours))
        atomic_write(
            output_path(osp.join(out_dir, OVERLAYS), found['img_id'], '.jpg'),
            encode_overlay(found['visualization']))
