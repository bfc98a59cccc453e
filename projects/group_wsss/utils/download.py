# Copyright (c) group_wsss contributors. All rights reserved.
"""Downloads over https alone, compared with a SHA-256 before they are used."""
import os
import os.path as osp
import re
from http.client import HTTPException
from typing import Any, Optional
from urllib.parse import urlsplit
from urllib.request import (HTTPRedirectHandler, Request, build_opener,
                            install_opener)

from .errors import InputError
from .versions import sha256_of

SCHEMES = ('https', )
# `name-0123abcd.pth`: torch and OpenMMLab put the first digits of the
# SHA-256 of a file into its name
_NAMED = re.compile(r'-([0-9a-f]{8,64})\.\w+$')
_FRAGMENT = re.compile(r'sha256=([0-9a-f]{64})')
# seconds without a byte
_TIMEOUT = 60


def check_scheme(url: str) -> None:
    """Refuse what is not fetched over https.

    Args:
        url (str): An address.

    Raises:
        InputError: Plain http, or any other scheme.
    """
    if urlsplit(url).scheme.lower() not in SCHEMES:
        raise InputError(f'{url[:200]}: not fetched: only https is')


class _Guard(HTTPRedirectHandler):
    """Follow a redirection, but never out of https; wait, but not forever."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str,
                         headers: Any, newurl: str) -> Optional[Request]:
        """A request for the new address, if it is one to be trusted."""
        check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def https_request(self, req: Request) -> Request:
        """The same request with our time limit; `torch.hub` sets none."""
        req.timeout = _TIMEOUT
        return req

    http_request = https_request


def open_url(url: str, start: int = 0) -> Any:
    """Ask for a file.

    Args:
        url (str): https.
        start (int): First byte that is wanted. Defaults to 0.

    Returns:
        http.client.HTTPResponse: To be read and closed.

    Raises:
        InputError: The address, or one that it redirects to, is not https.
        OSError: What urllib raises, 60 seconds without a byte among it.
    """
    check_scheme(url)
    request = Request(url, headers={'User-Agent': 'group_wsss'})
    if start:
        request.add_header('Range', f'bytes={start}-')
    return build_opener(_Guard).open(request)


def sha256_in(url: str) -> Optional[str]:
    """Digits of a file's SHA-256 that its address holds.

    Args:
        url (str): ``.../name-<first digits>.pth``, or any address with
            ``#sha256=<64 digits>`` behind it.

    Returns:
        str or None: The first 8 to 64 hexadecimal digits.
    """
    parts = urlsplit(url)
    found = _FRAGMENT.fullmatch(parts.fragment) or _NAMED.search(parts.path)
    return found.group(1) if found else None


def verify(path: 'str | os.PathLike[str]', sha256: str) -> None:
    """Compare a file with its checksum.

    Args:
        path (str | Path): The file.
        sha256 (str): Hexadecimal; the first digits suffice.

    Raises:
        InputError: It is another one.
    """
    found = sha256_of(path)
    if not found.startswith(sha256):
        raise InputError(f'{path}: SHA-256 is {found[:len(sha256)]}, expected '
                         f'{sha256}: the file is damaged or another one')


def fetch(url: str, path: str, sha256: str) -> None:
    """Download a file that fits on the disk; whole and verified, or absent.

    From then on no download of this process by urllib leaves https through a
    redirection.

    Args:
        url (str): https.
        path (str): Where it goes.
        sha256 (str): See :func:`verify`.

    Raises:
        InputError: Not https, no connection, or another checksum.
    """
    from torch.hub import download_url_to_file
    check_scheme(url)
    install_opener(build_opener(_Guard))
    try:
        os.makedirs(osp.dirname(path) or '.', exist_ok=True)
        download_url_to_file(url, path, hash_prefix=sha256, progress=False)
    except InputError as error:
        raise InputError(f'{url}: {error}') from None
    except (OSError, HTTPException, RuntimeError) as error:
        text = ' '.join(str(error).split())
        # the RuntimeError is about the checksum
        raise InputError(f'{url}: cannot be downloaded ({text})') from error
