# Copyright (c) group_wsss contributors. All rights reserved.
"""Install the package that lives in ``projects/``."""
import os
import re
import shutil
import sys
from pathlib import Path
from typing import List

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# what a wheel has besides the package, where mim looks for it
SHIPPED = ('configs', 'tools', 'model-index.yml')
# of the tools, what is of use in a checkout only
NOT_SHIPPED = ('__pycache__', '*.pyc', 'build_docs.sh', 'env.sh',
               'quickstart.sh', 'run_tests.sh', 'setup_env.sh')


def link_shipped() -> None:
    """Let an editable install find configs and tools of the checkout."""
    folder = ROOT / 'projects' / 'group_wsss' / '.mim'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in SHIPPED:
        try:
            os.symlink(os.path.relpath(ROOT / name, folder), folder / name)
        except OSError:  # no links here; nothing but mim needs them
            return


class BuildPy(build_py):
    """Put configs and tools into the package, as ``group_wsss/.mim``."""

    def run(self) -> None:
        """Build, then copy them, or link to them if editable."""
        super().run()
        if self.editable_mode:
            link_shipped()
            return
        folder = Path(self.build_lib, 'group_wsss', '.mim')
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in SHIPPED:
            if (ROOT / name).is_dir():
                ignore = shutil.ignore_patterns(*NOT_SHIPPED)
                shutil.copytree(ROOT / name, folder / name, ignore=ignore)
            else:
                shutil.copy(ROOT / name, folder)


def read_version() -> str:
    """The version, read without importing the package."""
    text = (ROOT / 'projects/group_wsss/version.py').read_text('utf-8')
    return re.search(r"__version__ = '(.+)'", text).group(1)


def read_requirements(name: str) -> List[str]:
    """Names in a requirement file; a library asks others for no versions.

    Args:
        name (str): Stem of a file in ``requirements/``.
    """
    path = ROOT / 'requirements' / f'{name}.txt'
    lines = [line.split('#')[0] for line in path.read_text().splitlines()]
    names = [re.split('[=<>;]', line)[0].strip() for line in lines]
    return list(dict.fromkeys(filter(None, names)))


# an old pip installs so, and builds nothing
if 'develop' in sys.argv:
    link_shipped()

# mmengine, mmcv, mmseg and mmpretrain are left out on purpose: two families
# of distributions provide them and pip would lay one over the other.
# The package itself checks for them when it is imported, and for torch, of
# which there is a build for every kind of GPU.
setup(
    name='group_wsss',
    version=read_version(),
    description='Group-wise weakly supervised semantic segmentation for '
    'OpenMMLab',
    long_description=(ROOT / 'README.md').read_text('utf-8'),
    long_description_content_type='text/markdown',
    author='group_wsss contributors',
    license='Apache-2.0',
    keywords='computer vision, semantic segmentation, weak supervision',
    package_dir={'': 'projects'},
    packages=find_packages('projects'),
    package_data={'group_wsss': ['py.typed', 'weights/*']},
    include_package_data=True,
    cmdclass={'build_py': BuildPy},
    python_requires='>=3.10',
    install_requires=read_requirements('runtime'),
    extras_require={
        name: read_requirements(name)
        for name in ('demo', 'docs', 'onnx', 'optional', 'regions', 'saliency',
                     'tests')
    },
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Typing :: Typed',
    ],
    zip_safe=False)
