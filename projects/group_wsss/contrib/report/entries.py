# Copyright (c) group_wsss contributors. All rights reserved.
"""The index of a report: a short row an image, in shards."""
from typing import Any, Dict, List, Mapping, Optional, Sequence

from .js_data import js_call

# rows that are loaded at a time: the first page need not wait for all
SHARD = 500


def make_entry(row: Mapping[str, Any],
               found: Sequence[int],
               names: Sequence[str],
               trusted: Optional[float] = None) -> List[Any]:
    """Row of an image in the gallery.

    Args:
        row (Mapping): Of ``images`` of
            :func:`group_wsss.contrib.analysis.analyze_dump`.
        found (Sequence[int]): Classes of its label.
        names (Sequence[str]): Of all classes, background first.
        trusted (float, optional): See :func:`trust`. Defaults to None.

    Returns:
        list: Id, height, width, classes of its label, its tags, tags that
        the label lacks (all as label values), unknown share, foreground
        share, mIoU and trust in percent (the last two None if there is
        none).
    """
    index = {name: i for i, name in reversed(list(enumerate(names)))}
    score = row.get('mIoU')
    return [
        row['id'], row['height'], row['width'],
        list(found), [index[name] for name in row['tags'] or ()],
        [index[name] for name in row['missed_tags']],
        round(row['unknown_share'], 2),
        round(row['foreground_share'],
              2), None if score is None or score != score else round(score, 2),
        None if trusted is None else round(trusted, 2)
    ]


def index_files(entries: Sequence[Sequence[Any]]) -> Dict[str, bytes]:
    """Shards of the index.

    Args:
        entries (Sequence[Sequence]): Of :func:`make_entry`, in order.

    Returns:
        dict[str, bytes]: Scripts by file name, ``SHARD`` rows each.
    """
    return {
        f'index/{i}.js': js_call('index', i,
                                 list(entries[start:start + SHARD]))
        for i, start in enumerate(range(0, len(entries), SHARD))
    }
