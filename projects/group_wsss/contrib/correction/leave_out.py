# Copyright (c) group_wsss contributors. All rights reserved.
"""An image list or a dump without some of its images."""
import os.path as osp
import shutil
from typing import Callable, Collection, Set

from ...structures import Dump, read_image_list
from ...structures.dump_writer import DumpWriter
from ...structures.image_list import write_image_list
from ...structures.manifest import SCORES, SKIPPED
from ...structures.text_files import read_text
from ...utils.errors import InputError
from ...utils.files import make_folder, output_path
from ...utils.pool import no_progress


def read_leave_out(path: str, known: Collection[str], where: str) -> Set[str]:
    """Read ids of images to leave out, one a line.

    Args:
        path (str): Text file, as the report saves it; empty lines count for
            nothing.
        known (Collection[str]): Ids that there are.
        where (str): What holds these, for the message.

    Returns:
        set[str]: The ids.

    Raises:
        InputError: A line that is none of these, no id at all, or all.
    """
    found: Set[str] = set()
    for number, line in enumerate(read_text(path, 'list').splitlines(), 1):
        if line and line not in known:
            raise InputError(f'{path}: line {number}: {where} has no image '
                             f'{line!r}')
        found.update({line} - {''})
    if not found:
        raise InputError(f'{path}: names no image')
    if len(found) == len(known):
        raise InputError(f'{path}: names all images of {where}')
    return found


def leave_out_of_list(source: str, path: str, out: str) -> int:
    """Write an image list without the images that a file names.

    Args:
        source (str): Image list, see ``read_image_list``.
        path (str): See :func:`read_leave_out`.
        out (str): The new list, ``.json``.

    Returns:
        int: Images that stay.
    """
    images = read_image_list(source)
    ids = {record.img_id for record in images.records}
    gone = read_leave_out(path, ids, source)
    kept = [record for record in images.records if record.img_id not in gone]
    write_image_list(out, kept, images.classes)
    return len(kept)


def leave_out_of_dump(
        source: str,
        path: str,
        out: str,
        progress: Callable[[int, int], None] = no_progress) -> int:
    """Copy a dump without the images that a file names.

    The new ``manifest.json`` says what the old one does, and names the
    images among the skipped ones.

    Args:
        source (str): Folder of the dump.
        path (str): See :func:`read_leave_out`.
        out (str): Folder of the new dump, another one.
        progress (Callable): Told the images done and their number.

    Returns:
        int: Images that stay.

    Raises:
        InputError: No dump, or ``out`` and it lie in each other.
    """
    folders = osp.realpath(source), osp.realpath(out)
    if osp.commonpath(folders) in folders:
        raise InputError(f'{out}: give the new dump a folder that is neither '
                         f'in {source} nor around it')
    dump = Dump.open(source)
    manifest = dump.manifest
    if manifest is None:
        raise InputError(f'{source}: has no manifest, so it is no dump')
    gone = read_leave_out(path, set(dump.ids), source)
    writer = DumpWriter(out, dump.names[1:], dump.palette.tolist())
    writer.begin()
    for done, img_id in enumerate(dump.ids, 1):
        progress(done, len(dump.ids))
        if img_id in gone:
            continue
        writer.write(img_id, dump.read_label(img_id))
        if dump.scores is not None:
            target = output_path(
                osp.join(writer.staging, SCORES), img_id, '.npz')
            make_folder(osp.dirname(target))
            shutil.copyfile(output_path(dump.scores, img_id, '.npz'), target)
    reasons = dict.fromkeys(manifest.skipped, f'has no label in {source}')
    told = osp.join(source, SKIPPED)
    if osp.isfile(told):
        for line in read_text(told, 'list').splitlines():
            img_id, _, reason = line.partition('\t')
            if img_id in reasons:
                reasons[img_id] = reason
    reasons.update(dict.fromkeys(gone, f'left out by {path}'))
    writer.finish(
        config=manifest.config,
        checkpoint=manifest.checkpoint,
        labeler=manifest.labeler,
        refiners=manifest.refiners,
        chosen_thresholds=manifest.chosen_thresholds,
        skipped=reasons,
        supervision=manifest.supervision,
        image_paths=manifest.image_paths,
        seed=manifest.seed,
        duration=manifest.duration_seconds)
    return len(writer.counts)
