# Copyright (c) group_wsss contributors. All rights reserved.
import numpy as np
import pytest

from group_wsss.structures import TokenBank
from group_wsss.utils.errors import InputError


def make(folder, fingerprint='a', tokens=4):
    return TokenBank(str(folder), 3, tokens, 5, fingerprint)


def tokens(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 5)).astype(np.float32)


@pytest.fixture
def bank(tmp_path):
    bank = make(tmp_path)
    assert not bank.begin()
    bank.open()
    return bank


def test_what_is_written_is_read(bank, tmp_path):
    assert [bank.read(i) for i in range(3)] == [None] * 3
    for place, count in ((2, 4), (0, 1)):
        bank.write(place, tokens(count, place))
        got = bank.read(place)
        assert got.dtype == np.float16 and bank.read(1) is None
        np.testing.assert_array_equal(got, tokens(count, place).astype('f2'))
    assert (tmp_path / 'tokens.bin').stat().st_size == bank.nbytes
    assert bank.nbytes == 3 * (8 + 4 * 5 * 2)


def test_the_same_fingerprint_goes_on(bank, tmp_path):
    bank.write(1, tokens(3))
    bank.write_map(1, np.ones((5, 2, 2), np.float32))
    other = make(tmp_path)
    assert other.begin()
    other.open()
    np.testing.assert_array_equal(other.read(1), bank.read(1))
    assert other.read_map(1).shape == (5, 2, 2)


@pytest.mark.parametrize('change', [
    dict(fingerprint='b'),
    dict(tokens=2),
    ('bank.json', b'{'),
    ('tokens.bin', b'0'),
], ids=str)  # yapf: disable
def test_anything_else_is_made_anew(bank, tmp_path, change):
    bank.write(1, tokens(3))
    bank.write_map(1, np.ones((5, 2, 2)))
    if isinstance(change, tuple):
        with open(tmp_path / change[0], 'ab') as file:
            file.write(change[1])
        change = {}
    other = make(tmp_path, **change)
    assert not other.begin()
    other.open()
    assert [other.read(i) for i in range(3)] == [None] * 3
    assert other.read_map(1) is None


def test_a_record_that_was_cut_is_not_there(bank, tmp_path):
    bank.write(1, tokens(4))
    data = bytearray((tmp_path / 'tokens.bin').read_bytes())
    data[-60] ^= 1  # in the middle of record 1
    with open(tmp_path / 'tokens.bin', 'r+b') as file:
        file.write(data)
    assert bank.read(1) is None


def test_maps_leave_and_nothing_else(bank, tmp_path):
    bank.write_map(7, np.ones((5, 2, 2)))
    (tmp_path / 'maps' / 'mine.npy').write_bytes(b'x')
    (tmp_path / 'maps' / '8.npy').write_bytes(b'')
    assert bank.read_map(8) is None
    bank.remove_maps()
    assert [p.name for p in (tmp_path / 'maps').iterdir()] == ['mine.npy']
    (tmp_path / 'maps' / 'mine.npy').unlink()
    bank.remove_maps()
    assert not (tmp_path / 'maps').exists()


def test_full_disks_and_missing_files_are_told(tmp_path, monkeypatch):
    bank = make(tmp_path)
    monkeypatch.setattr(TokenBank, 'free_bytes', lambda self: 10)
    with pytest.raises(InputError, match='144 bytes, 10 are free.*pool_size'):
        bank.begin()
    with pytest.raises(InputError, match='share the work dir'):
        bank.open()
    monkeypatch.undo()
    bank.begin()
    (tmp_path / 'tokens.bin').unlink()
    with pytest.raises(InputError, match='tokens.bin: cannot be written'):
        bank.write(0, tokens(1))
