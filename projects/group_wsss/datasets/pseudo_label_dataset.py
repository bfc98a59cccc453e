# Copyright (c) group_wsss contributors. All rights reserved.
import os.path as osp
from typing import Any, List, Optional

from mmengine.dataset import BaseDataset
from mmengine.fileio import join_path

from ..registry import DATASETS
from ..structures.dump import label_ids
from ..structures.image_list import read_image_list
from ..structures.manifest import MANIFEST, Manifest
from ..utils.classes import require_same_classes
from .image_level import require_listed


@DATASETS.register_module()
class PseudoLabelDataset(BaseDataset):
    """Images and label images for mmseg; the dump names the classes.

    Class names, their number and the palette come from the manifest that
    stage 1 has written beside its labels: nothing is set twice. mmseg stores
    them in its checkpoints, where its demos find them.

    Args:
        ann_file (str): Image list of stage 1 (its tags are not used), or
            the dump's ``ids.txt``, relative to ``data_root``.
        data_root (str): Root of ``ann_file`` and ``data_prefix``. Defaults
            to ''.
        data_prefix (dict): ``img_path``, the folder of the images, and
            ``seg_map_path``, that of the label images. Defaults to
            ``dict(img_path='', seg_map_path='')``.
        manifest (str, optional): ``manifest.json`` of the dump. Defaults to
            the one in ``seg_map_path``; needed to test on masks.
        img_suffix (str): Of an image whose path neither the list nor the
            manifest gives. Defaults to '.jpg'.
        seg_map_suffix (str): Of a label image. Defaults to '.png'.
        check_files (bool): Look once whether all files are there. Defaults
            to True.
        **kwargs: Of ``mmengine.BaseDataset``.

    Raises:
        InputError: A malformed list or manifest, class names that differ,
            missing files.
    """

    def __init__(self,
                 ann_file: str,
                 data_root: str = '',
                 data_prefix: dict = dict(img_path='', seg_map_path=''),
                 manifest: Optional[str] = None,
                 img_suffix: str = '.jpg',
                 seg_map_suffix: str = '.png',
                 check_files: bool = True,
                 metainfo: Optional[dict] = None,
                 **kwargs: Any) -> None:
        self.img_suffix = img_suffix
        self.seg_map_suffix = seg_map_suffix
        self.check_files = check_files
        folder = data_prefix.get('seg_map_path') or ''
        self.manifest = manifest or osp.join(data_root, folder, MANIFEST)
        content = Manifest.read(self.manifest)
        self.image_paths = content.image_paths
        names = tuple(content.classes)
        given = (metainfo or {}).get('classes')
        if given is not None:
            require_same_classes(given, 'metainfo.classes', names,
                                 self.manifest)
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=dict(data_prefix),
            metainfo=dict(
                metainfo or {},
                classes=names,
                palette=content.palette,
                label_map=None,
                reduce_zero_label=False),
            **kwargs)

    def load_data_list(self) -> List[dict]:
        """Read the list and look whether the files are there."""
        # the list's names, if it has any, are those that the dump was made
        # with, in this order
        content = read_image_list(
            self.ann_file, self.metainfo['classes'][1:], source=self.manifest)
        folder = self.data_prefix.get('seg_map_path') or ''
        if folder:  # other files in the folder are no labels
            label_ids(folder, [record.img_id for record in content.records])
        data_list = [
            dict(
                img_id=record.img_id,
                img_path=join_path(
                    self.data_prefix.get('img_path', ''), record.path
                    or self.image_paths.get(record.img_id)
                    or record.img_id + self.img_suffix),
                seg_map_path=join_path(
                    self.data_prefix.get('seg_map_path', ''),
                    record.img_id + self.seg_map_suffix),
                label_map=None,
                reduce_zero_label=False,
                seg_fields=[]) for record in content.records
        ]
        if self.check_files:
            for key, what in (('img_path', 'image'), ('seg_map_path',
                                                      'label image')):
                require_listed([info[key] for info in data_list], what,
                               self.ann_file)
        return data_list
