# Copyright (c) group_wsss contributors. All rights reserved.
from unittest.mock import Mock

from mmengine.structures import BaseDataElement

from group_wsss.contrib.reliability.skipped_images_hook import \
    SkippedImagesHook


def sample(**meta):
    return BaseDataElement(metainfo=meta)


def test_count_and_list(tmp_path):
    runner, hook = Mock(work_dir=str(tmp_path)), SkippedImagesHook()
    good, bad = sample(img_id='a'), sample(img_id='b', skipped=('z', 'z.jpg'))
    hook.after_train_iter(runner, 0, dict(data_samples=[good]))
    hook.after_train(runner)
    assert not list(tmp_path.iterdir()) and not runner.logger.warning.called
    other = sample(skipped=('c/d', 'c/d.jpg:\nis  empty'))
    for i, batch in enumerate(([good, bad], [bad], None, [other])):
        hook.after_train_iter(runner, i, batch and dict(data_samples=batch))
    assert runner.logger.warning.call_count == 2  # once for each file
    hook.after_train(runner)
    rows = (tmp_path / 'skipped.txt').read_text().splitlines()
    assert rows == ['c/d\tc/d.jpg: is empty', 'z\tz.jpg']
    assert '2 corrupt' in runner.logger.warning.call_args[0][0]
