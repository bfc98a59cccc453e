# Copyright (c) group_wsss contributors. All rights reserved.
"""Install the package that lives in ``projects/``."""
import re
from pathlib import Path
from typing import List

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def read_version() -> str:
    """The version, read without importing the package."""
    text = (ROOT / 'projects/group_wsss/version.py').read_text()
    return re.search(r"__version__ = '(.+)'", text).group(1)


def read_requirements(name: str, exact: bool) -> List[str]:
    """Lines of a requirement file.

    Args:
        name (str): Stem of a file in ``requirements/``.
        exact (bool): Keep the pins; a library that is installed beside
            others asks for names only.
    """
    lines = []
    path = ROOT / 'requirements' / f'{name}.txt'
    for line in path.read_text().splitlines():
        line = line.split('#')[0].strip()
        if line:
            lines.append(line if exact else re.split('[=<>;]', line)[0])
    return list(dict.fromkeys(lines))


readme = ROOT / 'README.md'
# mmengine, mmcv, mmseg and mmpretrain are left out on purpose: two families
# of distributions provide them and pip would lay one over the other.
# The package itself checks for them when it is imported.
setup(
    name='group_wsss',
    version=read_version(),
    description='Group-wise weakly supervised semantic segmentation for '
    'OpenMMLab',
    long_description=readme.read_text('utf-8') if readme.is_file() else '',
    long_description_content_type='text/markdown',
    author='group_wsss contributors',
    license='Apache License 2.0',
    keywords='computer vision, semantic segmentation, weak supervision',
    package_dir={'': 'projects'},
    packages=find_packages('projects'),
    include_package_data=True,
    python_requires='>=3.10',
    install_requires=read_requirements('runtime', exact=False),
    extras_require={
        'docs': read_requirements('docs', exact=False),
        'onnx': read_requirements('onnx', exact=False),
        'optional': read_requirements('optional', exact=False),
        'tests': read_requirements('tests', exact=False),
    },
    classifiers=[
        'Development Status :: 3 - Alpha',
        'License :: OSI Approved :: Apache Software License',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    zip_safe=False)
