# Copyright (c) group_wsss contributors. All rights reserved.
# Names of foreign masks, checked by class maps and by other images.
# FOREIGN: a dump of tools/import_masks.py; PROTOTYPES: what
# tools/make_prototypes.py wrote; CHECKPOINT: of stage 1, of both.
foreign_dir = '{{$FOREIGN:work_dirs/foreign}}'
prototypes = '{{$PROTOTYPES:work_dirs/prototypes.npz}}'
checkpoint = '{{$CHECKPOINT:work_dirs/group_wsss/iter_250.pth}}'
config = '{{ fileDirname }}/../group_wsss/effnet-lite0_voc-layout.py'
refiners = [
    dict(
        type='group_wsss.Judge',
        foreign_dir=foreign_dir,
        prototypes=prototypes,
        config=config,
        checkpoint=checkpoint,
        bg_threshold='otsu')
]
# what is left open has the score 0.5
labeler = dict(
    type='group_wsss.ThresholdLabeler', bg_threshold=0.5, margin=0.1)
