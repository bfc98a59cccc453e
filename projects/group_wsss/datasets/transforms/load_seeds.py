# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Optional, Set

from mmcv.transforms import BaseTransform

from ...registry import TRANSFORMS
from ...structures import Dump
from ...structures.dump import label_ids
from ...structures.manifest import MANIFEST, Manifest
from ...utils.errors import InputError
from ...utils.files import output_path
from .load_label_image import check_label_size


@TRANSFORMS.register_module()
class LoadSeeds(BaseTransform):
    """Load the seed label of an image from a dump.

    Seeds are label images that a labeler made from class maps, 255 where it
    was not sure. The folder must hold the ``manifest.json`` of the dump, with
    its labeler: a folder of masks has none, and masks must not be trained on.

    Required keys: ``img_id``, ``img``. Added keys: ``gt_seg_map`` uint8
    ``(H, W)``, and its name in ``seg_fields``, so that the transforms of
    mmseg move it with the image. ``PackSeeds`` hands it to the model.

    Args:
        seed_dir (str): Folder of ``<img_id>.png``, index PNGs of the size
            of the images: 0 background, class id + 1, 255 unknown.

    Raises:
        InputError: No manifest of a labeler, or a label that is missing,
            damaged, not an index PNG or of another size.
    """

    def __init__(self, seed_dir: str) -> None:
        self.seed_dir = seed_dir
        self._dump: Optional[Dump] = None
        self._ids: Set[str] = set()

    def transform(self, results: dict) -> dict:
        """Add the seeds, before anything changes the size."""
        if self._dump is None:  # once in each process
            manifest = Manifest.find(self.seed_dir)
            if manifest is None:
                raise InputError(f'{self.seed_dir}: no {MANIFEST}: not a '
                                 'dump of label images')
            if not manifest.labeler or 'M' in manifest.supervision:
                raise InputError(
                    f'{self.seed_dir}/{MANIFEST}: names no labeler, or masks '
                    '(M) as supervision: not labels made from tags')
            self._dump = Dump(self.seed_dir, [], tuple(manifest.classes))
            self._ids = set(label_ids(self.seed_dir))
        if results['img_id'] not in self._ids:
            raise InputError(f'{self.seed_dir}: {results["img_id"]!r} has no '
                             'label in this dump')
        seeds = self._dump.read_label(results['img_id'])
        path = output_path(self.seed_dir, results['img_id'], '.png')
        check_label_size(results, path, seeds.shape)
        results['gt_seg_map'] = seeds
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(seed_dir={self.seed_dir!r})'
