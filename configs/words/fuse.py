# Copyright (c) group_wsss contributors. All rights reserved.
# Class maps of tags and of words, weighted by how well words find the tags.
# WORDS: work dir of a test of custom.py. Not measured: see docs/words.md.
custom_imports = dict(
    imports=['group_wsss', 'group_wsss.contrib.words.components'],
    allow_failed_imports=False)
words = '{{$WORDS:work_dirs/words}}'
refiners = [
    dict(
        type='group_wsss.FuseText',
        text_dir=words + '/pseudo_labels',
        prompts=words + '/prompts.json')
]
labeler = dict(type='group_wsss.ThresholdLabeler', bg_threshold='otsu')
