# Copyright (c) group_wsss contributors. All rights reserved.
"""Archives of data sets: downloaded, compared, extracted."""
import http.client
import os
import os.path as osp
import tarfile
import time
import zlib
from pathlib import Path
from typing import IO, Iterator, Sequence, cast
from urllib.error import HTTPError

from ...utils.download import open_url, verify
from ...utils.errors import InputError
from ...utils.files import atomic_write, why_unsafe
from ...utils.progress import Progress

_CHUNK = 1 << 20
# no image, mask or list of VOC and SBD is as large
_MAX_MEMBER = 1 << 26


def download(url: str,
             path: Path,
             sha256: str,
             attempts: int = 5,
             wait: float = 2.0) -> None:
    """Fetch a file; goes on with what an earlier call left behind.

    Args:
        url (str): https.
        path (Path): Where it goes, after the checksum agreed.
        sha256 (str): Checksum, mandatory.
        attempts (int): Tries in a row without progress. Defaults to 5.
        wait (float): Seconds between tries. Defaults to 2.

    Raises:
        InputError: Not https, no connection, a wrong checksum.
    """
    if path.exists():
        verify(path, sha256)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _fetch(url, part, before):
                break
            reason = 'the connection was closed early'
        except HTTPError as error:
            reason = f'the server says {error.code} {error.reason}'
            if error.code < 500:
                failures = attempts
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, 'reason', error)) or repr(error)
        now = part.stat().st_size if part.exists() else 0
        failures = 0 if now > before else failures + 1
        if failures >= attempts:
            raise InputError(f'{url}: {reason}; the same command goes on '
                             'from here')
        time.sleep(wait)
    try:
        verify(part, sha256)
    except InputError as error:
        part.unlink()  # going on from wrong bytes cannot end well
        raise InputError(f'{url}: {error}; deleted') from None
    os.replace(part, path)


def _fetch(url: str, part: Path, start: int) -> bool:
    """Append to ``part`` from byte ``start``; True if it is complete."""
    try:
        answer = open_url(url, start)
    except HTTPError as error:
        if error.code == 416 and start:
            # nothing after `start`: complete, or longer than the original
            return True
        raise
    with answer:
        sent = answer.headers.get('Content-Range', '')
        if answer.status != 206 or not sent.startswith(f'bytes {start}-'):
            start = 0  # the server sends the whole file
        length = answer.headers.get('Content-Length')
        total = None if length is None else start + int(length)
        done, tell = start, Progress(f'{part.stem}: MB')
        with open(part, 'ab' if start else 'wb') as file:
            for piece in iter(lambda: answer.read(_CHUNK), b''):
                file.write(piece)
                done += len(piece)
                tell(done >> 20, (total or done) >> 20)
    return total is None or done >= total


def _members(archive: tarfile.TarFile,
             wanted: Sequence[str]) -> Iterator[tarfile.TarInfo]:
    """Members to extract, each one checked."""
    for member in archive:
        name = member.name[2:] if member.name.startswith('./') else member.name
        reason = None if name == '.' else why_unsafe(name)
        if reason:
            raise InputError(f'unsafe member {name[:80]!r}: {reason}')
        if (not name.startswith(tuple(wanted)) or member.isdir()
                or osp.basename(name).startswith('._')):
            continue
        if not member.isfile():
            raise InputError(f'member {member.name[:80]!r} is a link or a '
                             'device')
        if member.size > _MAX_MEMBER:
            raise InputError(f'member {member.name[:80]!r} has {member.size} '
                             'bytes')
        member.name = name
        yield member


def extract(path: Path, root: Path, wanted: Sequence[str]) -> int:
    """Extract the wanted files of an archive, none outside ``root``.

    Only regular files are written, by our own code: links and devices are
    refused, owners and modes are not taken over. All members are checked
    before the first is written; files that are there are left alone.

    Args:
        path (Path): The tar or tgz.
        root (Path): Where to.
        wanted (Sequence[str]): Prefixes of member names.

    Returns:
        int: Files written.

    Raises:
        InputError: A truncated archive or a hostile member.
    """
    written = 0
    print(f'{path.name}: extracting', flush=True)
    try:
        with tarfile.open(path) as archive:
            count = sum(1 for _ in _members(archive, wanted))
            if path.suffix == '.tar':
                # tarfile takes a file cut between two members for whole
                archive.fileobj.seek(archive.offset)
                if len(archive.fileobj.read(512)) < 512:
                    raise InputError('truncated: no end mark')
        if not count:
            raise InputError(f'nothing under {wanted[0]}')
        with tarfile.open(path) as archive:
            members = Progress(path.name).over(
                _members(archive, wanted), count)
            for member in members:
                target = root / member.name
                if (not target.exists()
                        or target.stat().st_size != member.size):
                    # a regular file has content
                    with cast(IO[bytes], archive.extractfile(member)) as file:
                        atomic_write(str(target), file.read())
                    written += 1
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise InputError(f'{path}: truncated or no tar archive: '
                         f'{error}') from error
    return written


def provide(archive: Path, url: str, sha256: str, proof: Sequence[str],
            wanted: Sequence[str], fetch: bool, check: bool) -> None:
    """Make sure that an archive's files lie in its folder.

    Args:
        archive (Path): Its folder holds it, its content or neither.
        url (str): Where it is downloaded from; https.
        sha256 (str): Its checksum.
        proof (Sequence[str]): Paths that show that it was extracted.
        wanted (Sequence[str]): Prefixes of member names.
        fetch (bool): Download it if need be.
        check (bool): Compare the checksum of an archive that is there.

    Raises:
        InputError: It is not there, cannot be downloaded, is another one or
            cannot be extracted.
    """
    root = archive.parent
    marker = root / f'.{archive.name}.extracted'
    there = all((root / path).exists() for path in proof)
    # an extraction that was cut off has some of the files and no marker
    if there and (marker.exists() or not archive.exists()):
        return
    if not archive.exists():
        if not fetch:
            raise InputError(f'{archive}: not there: put it there (from '
                             f'{url}) or add --download')
        download(url, archive, sha256)
    elif check:
        verify(archive, sha256)
    extract(archive, root, wanted)
    atomic_write(str(marker), b'')
