# Copyright (c) group_wsss contributors. All rights reserved.
from ...datasets import ImageLevelDataset
from ...registry import DATASETS
from ...structures.palette import palette_of


@DATASETS.register_module()
class TaggedImages(ImageLevelDataset):
    """Images and tags for a segmentor, whose first class is background.

    ``metainfo`` is that of a data set of mmseg, background and palette
    included: mmseg stores it in its checkpoints. Ids of tags still count
    from 0 without background.

    Args:
        **kwargs: Of ``ImageLevelDataset``; ``metainfo.classes`` without
            background.

    Raises:
        InputError: As :class:`ImageLevelDataset`.
    """

    @property
    def metainfo(self) -> dict:
        """dict: ``classes`` with background, and ``palette``."""
        meta = super().metainfo
        names = tuple(meta.get('classes') or ())
        if names:
            colours = palette_of(names)[:len(names) + 1].tolist()
            meta.update(classes=('background', *names), palette=colours)
        return meta
