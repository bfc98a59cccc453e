# Copyright (c) group_wsss contributors. All rights reserved.
import hashlib
import os.path as osp
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ...utils.files import atomic_write
from ...utils.pool import Pool, no_progress
from ..analysis import analyze_dump, report_plots
from .entries import SHARD, index_files, make_entry
from .html_page import STATIC, html_page
from .js_data import js_call
from .place import report_folder
from .render import FOLDER_SIZE, render_image
from .sources import PageSource

# of the slider where nothing else proposes one
_THRESHOLD = 0.5


def write_report(
        source: PageSource,
        out: str,
        jobs: int = 1,
        max_images: Optional[int] = None,
        progress: Callable[[int, int], None] = no_progress) -> Dict[str, Any]:
    """Write a dump as a folder of HTML; ``index.html`` is its beginning.

    Masks, if there are any, are read to judge the labels and to be looked
    at. The same input gives the same bytes.

    Args:
        source (PageSource): What to show.
        out (str): Folder; new, empty or an earlier report, which is
            replaced when the new one is whole.
        jobs (int): Processes; they change no byte. Defaults to 1.
        max_images (int, optional): Show no more than so many, evenly spread
            over the ids; figures are of all images. Defaults to None, all.
        progress (Callable): Told the images done and their number.

    Returns:
        dict: ``images`` on the page, and ``report`` of
        :func:`group_wsss.contrib.analysis.analyze_dump`.

    Raises:
        InputError: A file is missing, unreadable or misfits, or the folder
            cannot be written; it is named.
    """
    assert jobs >= 1 and (max_images is None or max_images >= 1)
    paths = source.check()
    palette = source.palette()
    with report_folder(out) as folder:
        report = analyze_dump(source.dump, source.masks, jobs, progress)
        rows = {row['id']: row for row in report['images']}
        ids = spread(source.dump.ids, max_images)
        work = partial(render_image, source=source.bare, folder=folder)
        with Pool(jobs) as pool:
            items = [(i, img_id, paths.get(img_id))
                     for i, img_id in enumerate(ids)]
            found = pool.map(work, items, progress)
            entries = [
                make_entry(rows[img_id], classes, source.dump.names, trusted)
                # found first: it is asked once more, and tells its progress
                for (classes, trusted), img_id in zip(found, ids)
            ]
        plots = report_plots(report, 'svg')
        files = {**index_files(entries), **plots}
        # what is ticked on the page belongs to these labels
        digest = hashlib.sha256(repr(entries).encode()).hexdigest()[:16]
        meta = dict(_meta(report, source, len(ids)), digest=digest)
        files['meta.js'] = js_call('meta', meta, palette.tolist())
        files['index.html'] = html_page(report, source, entries, plots)
        for name in ('report.css', 'report.js'):
            files[name] = (STATIC / name).read_bytes()
        for name, data in files.items():
            atomic_write(osp.join(folder, name), data)
    return dict(images=len(ids), report=report)


def spread(ids: Sequence[str], count: Optional[int]) -> List[str]:
    """Some ids, evenly spread.

    Args:
        ids (Sequence[str]): All of them, in order.
        count (int, optional): How many at most; None for all.

    Returns:
        list[str]: In order.
    """
    if count is None or count >= len(ids):
        return list(ids)
    return [ids[i * len(ids) // count] for i in range(count)]


def _meta(report: Mapping[str, Any], source: PageSource,
          images: int) -> Dict[str, Any]:
    """Facts of the whole page for the script."""
    threshold = source.dump.bg_threshold
    curve: List[List[Optional[float]]] = []
    if threshold is None and report['scores'] is not None:
        threshold = report['scores']['proposals'].get('otsu')
    if report['curve'] is not None:
        curve = [[
            round(point['threshold'], 4),
            round(point['mIoU'], 2) if point['mIoU'] == point['mIoU'] else None
        ] for point in report['curve']['points']]
    return dict(
        classes=list(source.dump.names),
        images=images,
        shards=-(-images // SHARD),
        folderSize=FOLDER_SIZE,
        shows=source.images is not None,
        masks=source.masks is not None,
        scores=source.dump.scores is not None,
        steps=[step.name for step in source.shown],
        threshold=_THRESHOLD if threshold is None else threshold,
        curve=curve)
