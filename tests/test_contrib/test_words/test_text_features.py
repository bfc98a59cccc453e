# Copyright (c) group_wsss contributors. All rights reserved.
"""tools/text_features.py: words in, a file of features out."""
import json
import re
import sys

import numpy as np
import pytest

from group_wsss.contrib.words import (ClipText, TextFeatures,
                                      make_text_features, read_words)
from group_wsss.utils.errors import InputError

MODEL = dict(name='none', fingerprint='f')


def encode(texts):
    """As long as a text has letters, in a direction of its own."""
    return np.stack([
        np.array([len(text), ord(text[0]),
                  text.count('o') + 1], np.float32) for text in texts
    ])


def test_words(tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text('# two\ndining_table\n\ntv: tv set,  screen \n')
    assert read_words(str(path)) == {
        'dining_table': ['dining table'],
        'tv': ['tv set', 'screen']
    }


@pytest.mark.parametrize('text, line', [
    ('', 'no class name'),
    ('a\nb:\n', 'names.txt:2: write NAME'),
    ('a\n: b\n', 'names.txt:2: write NAME'),
    ('a: b,, c', 'names.txt:1: write NAME'),
    ('a\nb\na : c', "names.txt:3: 'a' is there twice"),
])
def test_wrong_names(text, line, tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(line)):
        read_words(str(path))


def test_features(tmp_path):
    words = dict(tv=['tv', 'screen'], Sky=['sky'])
    templates = ['a {}.', '{} here']
    made = make_text_features(encode, MODEL, words, ['SKY', 'wall', 'tv'],
                              templates)
    # of a class the mean direction; what is a class is no background
    assert made.about['background'] == ['wall']
    assert made.features.shape == (3, 3)
    texts = ['a tv.', 'tv here', 'a screen.', 'screen here']
    mean = sum(v / np.linalg.norm(v) for v in encode(texts))
    np.testing.assert_allclose(
        made.features[0], mean / np.linalg.norm(mean), rtol=1e-6)
    made.save(str(tmp_path / 'text.npz'))
    again = TextFeatures.load(str(tmp_path / 'text.npz'))
    np.testing.assert_array_equal(again.features, made.features)
    assert again.about == made.about == dict(
        classes=['tv', 'Sky'],
        words=[['tv', 'screen'], ['sky']],
        background=['wall'],
        templates=templates,
        model=MODEL)


@pytest.mark.parametrize('templates, background, line', [
    (['a photo'], ['wall'], "--template 'a photo': must have one {}"),
    (['{}'], ['A'], '--background: no word is left'),
])
def test_wrong_options(templates, background, line):
    with pytest.raises(InputError, match=re.escape(line)):
        make_text_features(encode, MODEL, dict(a=['a']), background, templates)


@pytest.mark.parametrize('damage', [
    dict(features=np.eye(3)),
    dict(features=np.eye(2, 3, dtype=np.float32)),
    dict(features=np.eye(3, dtype=np.float32) * 2),
    dict(about=np.array('[]')),
    dict(about=np.array('no JSON')),
    dict(about=np.array(json.dumps(dict(classes=['a', 'b'])))),
])
def test_damaged_file(damage, tmp_path):
    path = str(tmp_path / 'text.npz')
    about = dict(
        classes=['a', 'b'],
        words=[['a'], ['b']],
        background=['c'],
        templates=['{}'],
        model=MODEL)
    good = dict(
        features=np.eye(3, dtype=np.float32),
        about=np.array(json.dumps(about)))
    np.savez(path, **good)
    TextFeatures.load(path)
    np.savez(path, **{**good, **damage})
    with pytest.raises(InputError, match='text.npz: not a file of text feat'):
        TextFeatures.load(path)


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """A CLIP of random weights whose tokens are letters."""
    transformers = pytest.importorskip(
        'transformers', reason='transformers is not installed')
    folder = tmp_path_factory.mktemp('clip')
    letters = 'abcdefghijklmnopqrstuvwxyz.'
    vocab = [*letters, *(f'{x}</w>' for x in letters)]
    vocab += ['<|startoftext|>', '<|endoftext|>']
    (folder / 'vocab.json').write_text(
        json.dumps({
            word: i
            for i, word in enumerate(vocab)
        }))
    (folder / 'merges.txt').write_text('#version: 0.2\n')
    small = dict(
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2)
    net = transformers.CLIPModel(
        transformers.CLIPConfig(
            text_config=dict(
                small,
                vocab_size=len(vocab),
                max_position_embeddings=24,
                bos_token_id=len(vocab) - 2,
                eos_token_id=len(vocab) - 1),
            vision_config=dict(small, image_size=16, patch_size=8),
            projection_dim=5)).eval()
    for parameter in net.parameters():
        parameter.data.normal_(std=.5)
    net.save_pretrained(folder)
    return folder, net, vocab


def test_tool(clip, tmp_path, call_tool, capsys):
    """Features are those of the library, of each text by itself."""
    import torch
    folder, net, vocab = clip
    (tmp_path / 'names.txt').write_text('cat\ndog: dog, hound\n')
    out = tmp_path / 'text.npz'
    call_tool('text_features', tmp_path / 'names.txt', '-o', out, '--model',
              folder, '--background', 'sky', 'dog', '--template', 'a {}.')
    assert '2 classes and 1 background words (sky)' in capsys.readouterr().out
    found = TextFeatures.load(str(out))
    rows = []
    for text in (['cat'], ['dog', 'hound'], ['sky']):
        units = []
        for word in text:
            letters = ['a</w>', *word[:-1], f'{word[-1]}</w>', '.</w>']
            ids = [
                vocab.index(token)
                for token in ('<|startoftext|>', *letters, '<|endoftext|>')
            ]
            with torch.no_grad():
                seen = net.text_model(input_ids=torch.tensor([ids]))
                row = net.text_projection(seen.last_hidden_state[0, -1])
            units.append(row / row.norm())
        mean = torch.stack(units).mean(0)
        rows.append(mean / mean.norm())
    np.testing.assert_allclose(found.features, torch.stack(rows), atol=1e-5)
    about = found.about
    assert about['templates'] == ['a {}.'] and len(
        about['model']['fingerprint']) == 64
    with pytest.raises(InputError, match='longer than the 24 tokens'):
        ClipText(str(folder))(['a' * 23])


@pytest.mark.parametrize('case, words', [
    ('names', ['names.txt', 'no such file']),
    ('model', ['model.safetensors', 'no such file', 'CLIP']),
    ('transformers', ['transformers is not installed', 'pip install']),
])
def test_bad_input_is_one_line(case, words, tmp_path, call_tool, capsys,
                               monkeypatch):
    if case != 'names':
        (tmp_path / 'names.txt').write_text('cat\n')
    if case == 'transformers':
        (tmp_path / 'model.safetensors').touch()
        monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(SystemExit) as leaving:
        call_tool('text_features', tmp_path / 'names.txt', '-o',
                  tmp_path / 'text.npz', '--model', tmp_path)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert leaving.value.code == 2 and line.startswith('error: ')
    assert all(word in line for word in words), line
    assert not (tmp_path / 'text.npz').exists()
