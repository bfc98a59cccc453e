# Copyright (c) group_wsss contributors. All rights reserved.
"""PASCAL VOC 2012 with image-level labels."""
from typing import Any, List, Optional, Tuple

from mmengine.fileio import get as read_bytes
from mmengine.fileio import join_path
from mmengine.utils import is_abs

from ..registry import DATASETS
from ..structures.image_list import ImageRecord
from ..structures.label_image import voc_palette
from ..structures.palette import VOC_CLASSES
from ..structures.voc_xml import parse_xml, voc_objects
from ..utils.errors import InputError
from .image_level import ImageLevelDataset

# an annotation is a few kilobytes
_MAX_XML_BYTES = 8 << 20


def read_voc_xml(data: bytes, class_to_idx: dict,
                 ignore_difficult: bool) -> Tuple[int, ...]:
    """Class ids of a VOC annotation.

    Args:
        data (bytes): The XML.
        class_to_idx (dict): Class name to 0-based id.
        ignore_difficult (bool): Leave out objects marked as difficult.

    Returns:
        tuple[int, ...]: Sorted, without repeats.

    Raises:
        InputError: Not a VOC annotation; the message names no file.
    """
    if len(data) > _MAX_XML_BYTES:
        raise InputError(f'is larger than {_MAX_XML_BYTES} bytes')
    labels = set()
    for name, difficult in voc_objects(parse_xml(data)):
        if name not in class_to_idx:
            raise InputError(f'unknown class {name[:80]!r}')
        if not (ignore_difficult and difficult):
            labels.add(class_to_idx[name])
    return tuple(sorted(labels))


@DATASETS.register_module()
class VOCImageLevel(ImageLevelDataset):
    """VOC 2012 images with class ids from a list or from XML files.

    Args:
        ann_file (str): List with class ids (the form of the released label
            file), or of ids alone together with ``xml_prefix``.
        xml_prefix (str, optional): Folder of ``<id>.xml`` annotations,
            relative to ``data_root``. Defaults to None.
        ignore_difficult (bool): Do not count objects marked as difficult in
            the XML. Defaults to False.
        **kwargs: Of :class:`ImageLevelDataset`.

    Raises:
        InputError: As :class:`ImageLevelDataset`; a missing or malformed
            XML file; labels from both sources.
    """

    METAINFO = dict(classes=VOC_CLASSES, palette=voc_palette(21)[1:].tolist())

    def __init__(self,
                 ann_file: str,
                 xml_prefix: Optional[str] = None,
                 ignore_difficult: bool = False,
                 **kwargs: Any) -> None:
        self.xml_prefix = xml_prefix
        self.ignore_difficult = ignore_difficult
        super().__init__(ann_file=ann_file, **kwargs)

    def load_records(self) -> List[ImageRecord]:
        """Records of the list, with the XML's labels if asked for."""
        records = super().load_records()
        if self.xml_prefix is None:
            if self.unlabeled != 'keep' and not any(record.labels
                                                    for record in records):
                raise InputError(f'{self.ann_file} has ids alone: set '
                                 'xml_prefix or give a list with class ids')
            return records
        table = self.class_to_idx
        return [
            record._replace(labels=self._xml_labels(record, table))
            for record in records
        ]

    def _xml_labels(self, record: ImageRecord, table: dict) -> Tuple[int, ...]:
        if record.labels:
            raise InputError(f'{record.where}: has class ids, but xml_prefix '
                             'is set: give one source of labels')
        folder = self.xml_prefix
        if not is_abs(folder) and self.data_root:
            folder = join_path(self.data_root, folder)
        path = join_path(folder, f'{record.img_id}.xml')
        try:
            return read_voc_xml(read_bytes(path), table, self.ignore_difficult)
        except OSError as error:
            raise InputError(f'{path}: cannot be read: '
                             f'{error.strerror or error}') from None
        except InputError as error:
            raise InputError(f'{path}: {error}') from None
