# Copyright (c) group_wsss contributors. All rights reserved.
"""Segment Anything 1, 2 and 3 through transformers."""
import functools
import importlib.metadata
import os.path as osp
from typing import Any, Dict, List, Tuple

import numpy as np
import torch

from ...utils.errors import InputError, one_line
from ...utils.versions import sha256_of

# classes of transformers: the model that takes points, and what feeds it
SAM_KINDS = dict(
    sam=('SamModel', 'SamImageProcessor'),
    sam2=('Sam2Model', 'Sam2ImageProcessor'),
    sam3=('Sam3TrackerModel', 'Sam3ImageProcessor'))
INSTALL = 'pip install transformers'
WEIGHTS = 'model.safetensors'
# points that go through the network at a time
_BATCH = 64
# of the boxes of two masks of one thing
_BOX_IOU = 0.7


@functools.lru_cache(maxsize=1)
def _load(kind: str, folder: str) -> Tuple[Any, Any]:
    """Model and image processor; once in a process."""
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        model, processor = (
            getattr(transformers,
                    name).from_pretrained(folder, local_files_only=True)
            for name in SAM_KINDS[kind])
    except Exception as error:  # anything, on a folder of something else
        raise InputError(f'{folder}: transformers {transformers.__version__} '
                         f'cannot load it as {kind}: '
                         f'{one_line(error)}') from None
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return model.to(device).eval(), processor


class SamRegions:
    """Images in, masks of everything out, by a grid of points.

    For each point the network gives three masks; those that it holds for
    poor, that change with the threshold of its output or whose box another
    one has (IoU above 0.7) are left out, by the functions and with the
    values of the ``mask-generation`` pipeline of transformers. That pipeline
    itself takes the grid of points of the first Segment Anything for all:
    the later ones see a square, and it asks them for a part of the image.

    The network was trained on masks of others: the manifest of labels has
    an ``A``.

    Args:
        kind (str): Key of :data:`SAM_KINDS`.
        folder (str): The model as transformers saves it: ``config.json``,
            ``preprocessor_config.json`` and ``model.safetensors``. Nothing
            is downloaded.
        points (int): Points a side of the image. Defaults to 32.
        quality (float): Least quality that the network foresees. Defaults to
            0.88.
        stability (float): Least IoU of the mask at a higher and a lower
            threshold. Defaults to 0.95.

    Attributes:
        settings (dict): What the regions depend on.

    Raises:
        InputError: transformers is not installed, or no such model.
    """

    def __init__(self,
                 kind: str,
                 folder: str,
                 points: int = 32,
                 quality: float = 0.88,
                 stability: float = 0.95) -> None:
        assert kind in SAM_KINDS, f'kind is one of {sorted(SAM_KINDS)}'
        if points < 1:
            raise InputError(f'--points {points}: must be positive')
        weights = osp.join(folder, WEIGHTS)
        if not osp.isfile(weights):
            raise InputError(f'{weights}: no such file: give the folder of a '
                             'model as transformers saves it')
        try:
            version = importlib.metadata.version('transformers')
        except importlib.metadata.PackageNotFoundError:
            raise InputError(
                f'transformers is not installed: {INSTALL}') from None
        self.kind = kind
        self.folder = osp.abspath(folder)
        self.points = points
        self.quality = quality
        self.stability = stability
        self.settings: Dict[str, Any] = dict(
            backend=kind,
            sha256=sha256_of(weights),
            points=points,
            quality=quality,
            stability=stability,
            transformers=version,
            supervision='A')
        _load(kind, self.folder)  # whatever is wrong with it shows now

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> List[np.ndarray]:
        """Masks of an image.

        Args:
            image (np.ndarray): uint8 RGB ``(H, W, 3)``.

        Returns:
            list[np.ndarray]: bool ``(H, W)``, which overlap; may be empty.
        """
        model, processor = _load(self.kind, self.folder)
        inputs = processor(image, return_tensors='pt').to(model.device)
        sizes = inputs['original_sizes'].tolist()
        padded = {}
        height, width = inputs['pixel_values'].shape[-2:]
        if 'reshaped_input_sizes' in inputs:  # the first one pads
            padded['reshaped_input_sizes'] = inputs[
                'reshaped_input_sizes'].tolist()
            height, width = padded['reshaped_input_sizes'][0]
        steps = (torch.arange(self.points) + 0.5) / self.points
        grid = torch.cartesian_prod(steps, steps).flip(1)  # x, y
        grid = (grid * torch.tensor([width, height])).to(model.device)
        embedding = model.get_image_embeddings(inputs['pixel_values'])
        box = torch.tensor([0, 0, *sizes[0][::-1]], device=model.device)
        found: List[tuple] = []
        for points in grid.split(_BATCH):
            output = model(
                image_embeddings=embedding,
                input_points=points[None, :, None],
                input_labels=points.new_ones((1, len(points), 1)).long())
            logits = processor.post_process_masks(
                output.pred_masks, sizes, binarize=False, **padded)[0]
            found.append(
                processor.filter_masks(logits, output.iou_scores[0], sizes[0],
                                       box, self.quality, self.stability))
        masks, *_ = processor.post_process_for_mask_generation(
            [mask for part in found for mask in part[0]],
            torch.cat([part[1] for part in found]),
            torch.cat([part[2] for part in found]), _BOX_IOU)
        return [torch.as_tensor(mask).bool().cpu().numpy() for mask in masks]
