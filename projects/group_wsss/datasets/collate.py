# Copyright (c) group_wsss contributors. All rights reserved.
from typing import Any, Callable, Optional, Sequence, Union

from mmengine.dataset import pseudo_collate

from ..registry import FUNCTIONS
from ..utils.errors import InputError


@FUNCTIONS.register_module()
def group_collate(data_batch: Sequence[Union[dict, Sequence[dict]]],
                  group_size: int = 1,
                  inner: Optional[Callable] = None) -> Any:
    """Make one flat batch whose samples tell their place in their group.

    The meta information ``group_slot`` of a sample counts from 0, the
    anchor; it is all that models read of who stands together.

    Args:
        data_batch (Sequence[dict] | Sequence[Sequence[dict]]): Packed items
            as ``GroupBatchSampler`` draws them, every ``group_size``
            neighbours one group; or whole groups, as ``GroupedDataset``
            gives them, which are numbered already.
        group_size (int): Images in a group, ``K``; of no effect on whole
            groups. Defaults to 1.
        inner (Callable, optional): Collates the flat list. Defaults to
            mmengine's ``pseudo_collate``.

    Returns:
        Any: What ``inner`` makes; members of a group are neighbours, the
        anchor first. After ``TestTimeAug`` the outer list is that of the
        augmentations, as mmengine's ``BaseTTAModel`` wants it.

    Raises:
        InputError: The batch is no whole groups.
    """
    flat = []
    for item in data_batch:
        if not isinstance(item, dict):
            flat += list(item)
            continue
        item['data_samples'].set_metainfo(
            dict(group_slot=len(flat) % group_size))
        flat.append(item)
    if isinstance(data_batch[0], dict) and len(flat) % group_size:
        raise InputError(f'a batch of {len(flat)} images is no whole groups '
                         f'of group_size {group_size}: set the batch size, or '
                         'batch_sampler.type=group_wsss.GroupBatchSampler')
    return (inner or pseudo_collate)(flat)
