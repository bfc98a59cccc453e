# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from ...registry import TRANSFORMS
from ...utils.errors import InputError, one_line
from ...utils.files import check_regular, output_path


@TRANSFORMS.register_module()
class LoadSeeds(BaseTransform):
    """Load the seed label of an image from a dump.

    Seeds are label images that a labeler made from class maps, 255 where it
    was not sure. The folder must hold the ``manifest.json`` of the dump: a
    folder of masks has none, and masks must not be trained on.

    Required keys: ``img_id``, ``img``. Added keys: ``gt_seg_map`` uint8
    ``(H, W)``, and its name in ``seg_fields``, so that the transforms of
    mmseg move it with the image. ``PackSeeds`` hands it to the model.

    Args:
        seed_dir (str): Folder of ``<img_id>.png``, index PNGs of the size
            of the images: 0 background, class id + 1, 255 unknown.

    Raises:
        InputError: No manifest, or a label that is missing, damaged, not an
            index PNG or of another size.
    """

    def __init__(self, seed_dir: str) -> None:
        self.seed_dir = seed_dir

    def transform(self, results: dict) -> dict:
        """Add the seeds, before anything changes the size."""
        if not osp.isfile(osp.join(self.seed_dir, 'manifest.json')):
            raise InputError(f'{self.seed_dir}: no manifest.json: not a dump '
                             'of label images')
        seeds = self.load(
            output_path(self.seed_dir, results['img_id'], '.png'))
        if seeds.shape != results['img'].shape[:2]:
            raise InputError(
                f'{results["img_id"]}: seeds of {seeds.shape} pixels for a '
                f'image of {results["img"].shape[:2]}; put LoadSeeds '
                'right after LoadImage')
        results['gt_seg_map'] = seeds
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    @staticmethod
    def load(path: str) -> np.ndarray:
        """Read one label.

        Args:
            path (str): An index PNG.

        Returns:
            np.ndarray: uint8 ``(H, W)``.
        """
        check_regular(path)
        try:
            with Image.open(path) as image:
                if image.mode not in ('P', 'L'):
                    raise InputError(f'{path}: seeds are an index PNG, not '
                                     f'mode {image.mode}')
                return np.array(image)
        except FileNotFoundError:
            raise InputError(f'{path}: no such seeds') from None
        except InputError:
            raise
        except (OSError, SyntaxError, ValueError, EOFError,
                Image.DecompressionBombError) as error:  # PIL raises all
            raise InputError(f'{path}: damaged seeds: '
                             f'{one_line(error)}') from None

    def __repr__(self) -> str:
        return f'{type(self).__name__}(seed_dir={self.seed_dir!r})'
