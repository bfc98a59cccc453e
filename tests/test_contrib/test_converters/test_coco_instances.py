# Copyright (c) group_wsss contributors. All rights reserved.
import json

from group_wsss.contrib.converters import read_coco_instances


def test_crowds_and_empty_images(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(
        json.dumps(
            dict(
                images=[
                    dict(id='7', file_name='train/b.png'),
                    dict(id=7, file_name='a.jpg')
                ],
                annotations=[
                    dict(image_id='7', category_id=1, iscrowd=1),
                    dict(image_id='7', category_id=2)
                ],
                categories=[dict(id=1, name='x'),
                            dict(id=2, name='y')])))
    found = read_coco_instances(str(path))
    assert found.classes == ('x', 'y')
    assert [r[:3]
            for r in found.records] == [('a', (), 'a.jpg'),
                                        ('train/b', (0, 1), 'train/b.png')]
    found = read_coco_instances(str(path), skip_crowd=True)
    assert found.classes == ('y', )
    assert [r.labels for r in found.records] == [(), (0, )]
