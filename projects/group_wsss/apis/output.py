# Copyright (c) group_wsss contributors. All rights reserved.
import io
import os.path as osp
from typing import Any, Dict, Optional, Sequence

import numpy as np
from mmengine.config import Config
from PIL import Image

from ..engine.utils import describe_checkpoint
from ..structures import DumpWriter, ScoreMap
from ..structures.manifest import SCORES
from ..utils.errors import InputError
from ..utils.files import atomic_write, output_path
from .images import InputImage

# labels painted over images, inside a dump; JPEG, so that no tool
# takes them for labels
OVERLAYS = 'overlays'


def encode_overlay(overlay: np.ndarray) -> bytes:
    """Encode a painted image.

    Args:
        overlay (np.ndarray): RGB uint8 ``(H, W, 3)``.

    Returns:
        bytes: A JPEG.
    """
    buffer = io.BytesIO()
    Image.fromarray(overlay).save(buffer, 'JPEG', quality=92)
    return buffer.getvalue()


class ResultWriter:
    """A dump of labels with overlays, the whole of it or nothing.

    As a context: what is not finished leaves no trace.

    Args:
        out_dir (str): The folder.
        images (Sequence[InputImage]): All that will be labelled.
        classes (Sequence[str]): Class names, without background.
        palette (Sequence, optional): RGB of the labels.
        keep_scores (bool): Keep score maps too. Defaults to False.

    Raises:
        InputError: The folder cannot be written, or a label would take the
            place of an image.
    """

    def __init__(self,
                 out_dir: str,
                 images: Sequence[InputImage],
                 classes: Sequence[str],
                 palette: Optional[Sequence] = None,
                 keep_scores: bool = False) -> None:
        self.keep_scores = keep_scores
        self.image_paths: Dict[str, str] = {}
        for img_id, source in images:
            if not isinstance(source, str):
                continue
            # an id is the path below the user's folder without its suffix
            self.image_paths[img_id] = img_id + osp.basename(
                source)[len(osp.basename(img_id)):]
            path = output_path(out_dir, img_id, '.png')
            if osp.realpath(source) == osp.realpath(path):
                raise InputError(f'{path}: is an image, its label would '
                                 'replace it; give another out_dir')
        self.writer = DumpWriter(out_dir, classes, palette)

    def __enter__(self) -> 'ResultWriter':
        self.writer.begin()
        return self

    def __exit__(self, *error: Any) -> None:
        self.writer.begin()

    def write(self, score_map: ScoreMap, label: np.ndarray,
              overlay: np.ndarray) -> None:
        """Take an image's results.

        Args:
            score_map (ScoreMap): Its scores.
            label (np.ndarray): uint8 ``(H, W)``.
            overlay (np.ndarray): RGB uint8 ``(H, W, 3)``.
        """
        img_id, staging = score_map.img_id, self.writer.staging
        self.writer.write(img_id, label)
        if self.keep_scores:
            score_map.save(
                output_path(osp.join(staging, SCORES), img_id, '.npz'))
        atomic_write(
            output_path(osp.join(staging, OVERLAYS), img_id, '.jpg'),
            encode_overlay(overlay))

    def finish(self, cfg: Config, weights: str, **manifest: Any) -> None:
        """Put everything in its place.

        Args:
            cfg (Config): Config, for the manifest.
            weights (str): Checkpoint, for the manifest.
            **manifest: As in ``DumpWriter.finish``.
        """
        self.writer.finish(
            config=cfg.pretty_text,
            checkpoint=describe_checkpoint(weights),
            image_paths=self.image_paths,
            **manifest)
