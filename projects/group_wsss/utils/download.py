# Copyright (c) group_wsss contributors. All rights reserved.
"""Downloads over https alone, compared with a SHA-256 before they are used."""
import hashlib
import http.client
import os
import os.path as osp
import re
from pathlib import Path
from typing import Any, Optional, Union
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from .errors import InputError

SCHEMES = ('https', )
# `name-0123abcd.pth`: torch and OpenMMLab put the first digits of the
# SHA-256 of a file into its name
_NAMED = re.compile(r'-([0-9a-f]{8,64})\.\w+$')
_FRAGMENT = re.compile(r'sha256=([0-9a-f]{64})')
_CHUNK = 1 << 20


def check_scheme(url: str) -> None:
    """Refuse what is not fetched over https.

    Args:
        url (str): An address.

    Raises:
        InputError: Plain http, or any other scheme.
    """
    if urlsplit(url).scheme.lower() not in SCHEMES:
        raise InputError(f'{url[:200]}: not fetched: only https is')


class _SafeRedirect(HTTPRedirectHandler):
    """Follow a redirection, but never out of https."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str,
                         headers: Any, newurl: str) -> Optional[Request]:
        """A request for the new address, if it is one to be trusted."""
        check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_url(url: str, start: int = 0, timeout: float = 60) -> Any:
    """Ask for a file.

    Args:
        url (str): https.
        start (int): First byte that is wanted. Defaults to 0.
        timeout (float): Seconds without a byte. Defaults to 60.

    Returns:
        http.client.HTTPResponse: To be read and closed.

    Raises:
        InputError: The address, or one that it redirects to, is not https.
        OSError: What urllib raises.
    """
    check_scheme(url)
    request = Request(url, headers={'User-Agent': 'group_wsss'})
    if start:
        request.add_header('Range', f'bytes={start}-')
    return build_opener(_SafeRedirect).open(request, timeout=timeout)


def sha256_in(url: str) -> Optional[str]:
    """Read the SHA-256 of a file off its address.

    Args:
        url (str): ``.../name-<first digits>.pth``, or any address with
            ``#sha256=<64 digits>`` behind it.

    Returns:
        str or None: Its first 8 to 64 hexadecimal digits.
    """
    parts = urlsplit(url)
    found = _FRAGMENT.fullmatch(parts.fragment) or _NAMED.search(parts.path)
    return found.group(1) if found else None


def verify(path: Union[str, Path], sha256: str) -> None:
    """Compare a file with its checksum.

    Args:
        path (str | Path): The file.
        sha256 (str): Hexadecimal; the first digits suffice.

    Raises:
        InputError: It is another one.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for piece in iter(lambda: file.read(_CHUNK), b''):
            digest.update(piece)
    found = digest.hexdigest()
    if not found.startswith(sha256):
        raise InputError(f'{path}: SHA-256 is {found[:len(sha256)]}, expected '
                         f'{sha256}: the file is damaged or another one')


def fetch(url: str, path: str, sha256: str) -> None:
    """Download a file that fits on the disk; whole and verified, or absent.

    Args:
        url (str): https.
        path (str): Where it goes.
        sha256 (str): See :func:`verify`.

    Raises:
        InputError: Not https, no connection, or another checksum.
    """
    part = f'{path}.part-p{os.getpid()}'
    try:
        os.makedirs(osp.dirname(path) or '.', exist_ok=True)
        with open_url(url) as answer, open(part, 'wb') as file:
            for piece in iter(lambda: answer.read(_CHUNK), b''):
                file.write(piece)
        verify(part, sha256)
        os.replace(part, path)
    except InputError as error:
        raise InputError(f'{url}: {error}') from None
    except (OSError, http.client.HTTPException) as error:
        text = ' '.join(str(error).split())
        raise InputError(f'{url}: cannot be downloaded ({text})') from error
    finally:
        if osp.exists(part):
            os.remove(part)
