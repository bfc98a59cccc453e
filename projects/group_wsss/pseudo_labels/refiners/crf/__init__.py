# Copyright (c) group_wsss contributors. All rights reserved.
"""Dense CRF with Gaussian edge potentials."""
from .dense_crf import DenseCRF, dense_crf

__all__ = ['DenseCRF', 'dense_crf']
