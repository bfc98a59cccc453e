# Copyright (c) group_wsss contributors. All rights reserved.
import os
import pickle
import tracemalloc

import numpy as np
import pytest

from group_wsss.contrib.converters import load_plain_pickle, read_cls_labels
from group_wsss.utils.errors import InputError

CLASSES = ('x', 'y', 'z')


def npy(folder, pickled):
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header = header.ljust(117) + b'\n'
    path = folder / 'cls_labels.npy'
    path.write_bytes(b'\x93NUMPY\1\0' + len(header).to_bytes(2, 'little') +
                     header + pickled)
    return str(path)


def wrapped(value):
    """What ``np.save`` pickles."""
    array = np.empty((), object)
    array[()] = value
    return array


def labels(key='im{}'.format):
    return {
        key(2): np.array([0, 1, 1], np.float32),
        key(1): np.array([1, 0, 0], np.float32)
    }


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
@pytest.mark.parametrize('dtype',
                         ['f4', 'f8', 'f2', 'u1', 'i8', '>i4', '>f8', '?'])
def test_every_protocol_and_type(protocol, dtype, tmp_path):
    content = {k: v.astype(dtype) for k, v in labels().items()}
    path = npy(tmp_path, pickle.dumps(wrapped(content), protocol))
    found = read_cls_labels(path, CLASSES)
    assert found.classes == CLASSES
    assert [r[:3] for r in found.records] == [('im1', (0, ), 'im1.jpg'),
                                              ('im2', (1, 2), 'im2.jpg')]


@pytest.mark.parametrize('protocol', [3, 4, 5])
def test_same_values_as_pickle(protocol):
    rng = np.random.default_rng(0)
    wanted = {
        'a': rng.random((3, 4)),
        'b': np.asfortranarray(rng.random((3, 4))),
        'é': rng.integers(0, 9, (2, 0, 3)),
        5: [1, -2, 2**70, 1.5, None, True, (1, (2, )), b'\xff'],
        'nested': {
            'n': 1
        },
        'scalar': np.float32(2.5),
        'text': np.str_('ü𝄞'),
    }
    found = load_plain_pickle(pickle.dumps(wanted, protocol))
    assert list(found) == list(wanted)
    for key, value in wanted.items():
        if isinstance(value, np.ndarray):
            assert found[key].dtype == value.dtype
            np.testing.assert_array_equal(found[key], value)
        else:
            assert found[key] == value


def test_names_of_the_other_numpy():
    """numpy 1 and 2 call their modules differently."""
    for protocol in (2, 5):
        data = pickle.dumps(labels(), protocol)
        if protocol == 5:  # without the frame, whose size it has in front
            data = data[:2] + data[11:]
        for module in (b'numpy.core', b'numpy._core'):
            other = data
            for part in (b'numeric', b'multiarray'):
                for old in (b'numpy.core.', b'numpy._core.'):
                    new = module + b'.' + part
                    other = other.replace(
                        bytes([len(old + part)]) + old + part,
                        bytes([len(new)]) + new)
                    other = other.replace(b'c' + old + part, b'c' + new)
            assert module in other
            np.testing.assert_array_equal(
                load_plain_pickle(other)['im2'], [0, 1, 1])


def test_bytes_that_are_not_there_take_no_memory():
    data = b'\x80\x05\x96' + (1 << 26).to_bytes(8, 'little') + b'.'
    tracemalloc.start()
    with pytest.raises(InputError, match='damaged'):
        load_plain_pickle(data)
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


@pytest.mark.parametrize('key, int_ids, ids', [
    (lambda i: np.int32(2007000030 + i), 'voc', ['2007_000031', '2007_000032'
                                                 ]),
    (lambda i: i, 'coco', ['000000000001', '000000000002']),
    (lambda i: np.int64(i), 'plain', ['1', '2']),
    (lambda i: np.str_(i), None, ['1', '2']),
])
def test_keys(key, int_ids, ids, tmp_path):
    np.save(tmp_path / 'a.npy', labels(key))
    path = str(tmp_path / 'a.npy')
    found = read_cls_labels(path, CLASSES, int_ids)
    assert [r.img_id for r in found.records] == ids
    if int_ids is not None:
        with pytest.raises(InputError, match='is a number; say how'):
            read_cls_labels(path, CLASSES)


class Hostile:
    """Calls whatever it is given when a pickle of it is loaded."""

    def __init__(self, call, *args):
        self.parts = call, args

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize('protocol', [0, 2, 4])
@pytest.mark.parametrize('call', [
    lambda path: Hostile(os.mkdir, path),
    lambda path: Hostile(eval, f'__import__("os").mkdir({path!r})'),
    lambda path: Hostile(getattr, np.ndarray, 'tofile'),
    lambda path: Hostile(np.memmap, path, 'u1', 'w+', 0, (4, )),
])
def test_hostile_pickles_do_nothing(call, protocol, tmp_path):
    trace = tmp_path / 'trace'
    hostile = wrapped({'a': call(str(trace))})
    path = npy(tmp_path, pickle.dumps(hostile, protocol))
    with pytest.raises(InputError) as caught:
        read_cls_labels(path, CLASSES)
    assert str(caught.value).startswith(f'{path}: ')
    assert not trace.exists()
    if protocol:
        assert 'nothing of it was executed' in str(caught.value)
    # the test would show it
    if call(str(trace)).parts[0] is os.mkdir:
        np.load(path, allow_pickle=True)
        assert trace.exists()


@pytest.mark.parametrize(
    'data, message',
    [
        (b'\x80\x04N', 'damaged'),
        (b'\x80\x04.', 'damaged'),
        (b'cnumpy\nndarray\n)R.', 'not callable'),
        (b'\x80\x02}]K\x01s.', 'unhashable'),
        (b'\x80\x02K\x01K\x02K\x03\x87R.', 'damaged'),
        (b'\x80\x02K\x01u.', 'damaged'),
        (b'\x80\x02Pid\n.', 'persistent'),
        (b'\x80\x02\x82\x01.', 'extension code'),
        (b'\x80\x05\x96' + b'\xff' * 8 + b'.', 'damaged'),
        (b'\x80\x05\x96' + b'\0' * 5 + b'\1\0\0.', 'damaged'),
        (b'\x80\x02r\xff\xff\xff\xff.', 'damaged'),
        # fewer objects than the array has places
        (pickle.dumps(np.array([1, 'a'], object), 2).replace(
            b'K\x02\x85', b'K\x03\x85'), 'other objects'),
        # a state that would be set on a function of ours
        (b'\x80\x02c_codecs\nencode\n}X\1\0\0\0aK\1sb.', 'of a function'),
        (b'\x80\x02cnumpy\ndtype\nX\x02\0\0\0U9\x85R.', None),
        (b'\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\0\0\0'
         b'O8\x85RC\x08' + b'\xff' * 8 + b'\x86R.', 'without a type'),
    ])
def test_broken_pickles(data, message):
    if message is None:
        load_plain_pickle(data)
        return
    with pytest.raises(InputError, match=message) as caught:
        load_plain_pickle(data)
    assert '\n' not in str(caught.value)


def test_arrays_of_a_false_size():
    data = pickle.dumps(np.zeros(3, 'f4'), 2)
    assert data.count(b'K\x03\x85') == 1
    for shape in (b'K\x04\x85', b'J\xff\xff\xff\xff\x85', b'K\x03K\x02\x86'):
        with pytest.raises(InputError, match='damaged'):
            load_plain_pickle(data.replace(b'K\x03\x85', shape))


@pytest.mark.parametrize('value, message', [
    (dict(a=np.array([0, 2, 0])), "id 'a': values other than 0 and 1"),
    (dict(a=np.array([0, np.nan, 0])), 'values other than 0 and 1'),
    (dict(a=np.zeros((1, 3))), 'expected a vector of 0 and 1'),
    (dict(a=np.zeros(4)), '4 values, but 3 classes'),
    (dict(a='cat'), 'expected a vector of 0 and 1'),
    ([1], 'holds no dict'),
    (dict(), 'holds no image'),
    (None, 'holds no dict'),
])
def test_values(value, message, tmp_path):
    path = npy(tmp_path, pickle.dumps(wrapped(value), 3))
    if value is None:
        np.save(path, np.zeros((4, 3)))
    with pytest.raises(InputError, match=f'^{path}: .*{message}'):
        read_cls_labels(path, CLASSES)
