# Copyright (c) group_wsss contributors. All rights reserved.
# Trains on TRAIN_LIST and labels the images of TEST_LIST, whose tags are
# given too, with partners from TRAIN_LIST.
_base_ = '../../configs/group_wsss/effnet-lite0_voc-layout.py'
test_dataloader = dict(
    dataset=dict(
        dataset=dict(ann_file='{{$TEST_LIST:ImageSets/val_cls.txt}}'),
        reference={{_base_.test_dataloader.dataset.dataset}}))
