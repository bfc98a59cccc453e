# Copyright (c) group_wsss contributors. All rights reserved.
from group_wsss.contrib.converters import read_cvat

TEXT = '''<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><labels><label><name>unused</name></label></labels></task></meta>
<image id="1" name="sub/b.png"><tag label="wet" source="manual"></tag>
<box label="cat" xtl="1"/><mask label="dog" rle="1, 2"/><other/>
</image>
<image id="0" name="a.jpg"><skeleton label="man"><points label="hand"/>
</skeleton></image>
</annotations>'''


def test_tags_and_shapes(tmp_path):
    (tmp_path / 'a.xml').write_text(TEXT)
    found = read_cvat(str(tmp_path / 'a.xml'))
    assert found.classes == ('wet', )
    assert [r[:3] for r in found.records] == [('a', (), 'a.jpg'),
                                              ('sub/b', (0, ), 'sub/b.png')]
    found = read_cvat(str(tmp_path / 'a.xml'), shapes=True)
    # parts of a skeleton are no things of their own
    assert found.classes == ('cat', 'dog', 'man', 'wet')
    assert [r.labels for r in found.records] == [(2, ), (0, 1, 3)]
