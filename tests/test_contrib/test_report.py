# Copyright (c) group_wsss contributors. All rights reserved.
import base64
import io
import json
import os
import re
import shutil
import zlib
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from group_wsss.contrib.report import PageSource, open_steps, write_report
from group_wsss.contrib.report.entries import index_files, make_entry
from group_wsss.contrib.report.html_page import STATIC
from group_wsss.contrib.report.js_data import js_call
from group_wsss.contrib.report.page import spread
from group_wsss.contrib.report.render import fit, quantize
from group_wsss.contrib.report.trust import trust
from group_wsss.evaluation import open_dump
from group_wsss.pseudo_labels import ThresholdLabeler
from group_wsss.structures import DumpWriter, ScoreMap, encode_index_png
from group_wsss.structures.palette import bright_palette
from group_wsss.utils.errors import InputError

IMG = '<img src=x onerror=alert(1)>'
STEP = '<b>"first"</b>'
CLASSES = ('cat', IMG, '</script><b>"\'&')
# an id ends at white space; / parts attributes too
BAD_ID = '<img/src=x/onerror=alert(1)>'
IDS = ('a', BAD_ID, '</script>', 'quote"\'&amp;')
SHAPE = (60, 80)


def make_dump(folder, names=CLASSES, threshold=.5, seed=0):
    """Labels and scores of four images with hostile names."""
    rng = np.random.default_rng(seed)
    writer = DumpWriter(str(folder), names)
    for i, img_id in enumerate(IDS):
        maps = rng.random((2, 6, 8))
        score_map = ScoreMap(img_id, SHAPE, [i % 3, (i + 1) % 3], maps)
        score_map.save(f'{writer.staging}/scores/{img_id}.npz')
        label = ThresholdLabeler(threshold)(score_map)
        label[:4, :4] = 255
        writer.write(img_id, label)
    writer.finish(
        labeler=dict(type='ThresholdLabeler', bg_threshold=threshold),
        checkpoint=dict(name='a.pth', sha256='f' * 64),
        config=f'# {IMG} </script>')


@pytest.fixture
def folders(tmp_path):
    """Two dumps, images and masks; ``images`` are plain green."""
    make_dump(tmp_path / 'dump')
    make_dump(tmp_path / 'seeds', threshold=.7, seed=1)
    rng = np.random.default_rng(2)
    for img_id in IDS:
        mask = tmp_path / 'masks' / f'{img_id}.png'
        image = tmp_path / 'images' / f'{img_id}.jpg'
        mask.parent.mkdir(parents=True, exist_ok=True)
        image.parent.mkdir(parents=True, exist_ok=True)
        mask.write_bytes(
            encode_index_png(rng.choice(4, SHAPE).astype(np.uint8)))
        Image.new('RGB', SHAPE[::-1], (20, 160, 60)).save(image)
    return tmp_path


@pytest.fixture
def source(folders):
    dump = open_dump(str(folders / 'dump'))
    steps = open_steps([f'{STEP}={folders / "seeds"}'], dump)
    return PageSource(
        dump,
        steps,
        str(folders / 'images'),
        masks=str(folders / 'masks'),
        side=64)


@pytest.fixture
def out(source, tmp_path):
    """The folder of a report of all that."""
    write_report(source, str(tmp_path / 'out'))
    return tmp_path / 'out'


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob('*')) if path.is_file()
    }


def values_of(script):
    """Arguments of a data script."""
    text = script.decode('ascii')
    assert text.startswith('groupWsssReport(') and text.endswith(');\n')
    return json.loads(f'[{text[16:-3]}]')


def unpack(text, shape):
    data = zlib.decompress(base64.b64decode(text))
    return np.frombuffer(data, np.uint8).reshape(shape)


class Page(HTMLParser):
    """Elements of a page with their attributes, ancestors and text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        node = dict(tag=tag, up=[up['tag'] for up in self.open], text='')
        node['attrs'] = dict(attrs)
        self.found.append(node)
        if tag not in ('meta', 'link', 'input', 'img'):
            self.open.append(node)

    def handle_endtag(self, tag):
        if self.open and self.open[-1]['tag'] == tag:
            self.open.pop()

    def handle_data(self, data):
        for node in self.open:
            node['text'] += data

    def all(self, *tags):
        return [node for node in self.found if node['tag'] in tags]


def test_files_hold_what_the_dump_holds(source, tmp_path):
    done = write_report(source, str(tmp_path / 'out'))
    assert done['images'] == len(IDS)
    files = files_of(tmp_path / 'out')
    ids = source.dump.ids
    # never named by an id
    kinds = ('data/0/{}.js', 'labels/0/{}.png', 'images/0/{}.jpg',
             'thumbs/0/{}.jpg')
    assert set(files) == {
        'index.html', 'report.css', 'report.js', 'meta.js', 'index/0.js',
        'curve.svg', 'scores.svg', 'per_class.svg', 'confusions.svg',
        *(kind.format(i) for kind in kinds for i in range(len(IDS)))
    }
    kind, meta, palette = values_of(files['meta.js'])
    assert kind == 'meta' and meta['images'] == len(IDS)
    assert meta['classes'] == ['background', *CLASSES]
    assert meta['steps'] == [STEP, 'dump'] and meta['threshold'] == .5
    assert palette == [*bright_palette()[:255].tolist(), [255] * 3]
    kind, shard, rows = values_of(files['index/0.js'])
    assert (kind, shard) == ('index', 0) and [row[0] for row in rows] == ids
    by_id = {row['id']: row for row in done['report']['images']}
    # the pixel under each centre
    y = ((np.arange(48) + .5) * 60 / 48).astype(int)
    x = ((np.arange(64) + .5) * 80 / 64).astype(int)
    for i, img_id in enumerate(ids):
        kind, number, data = values_of(files[f'data/0/{i}.js'])
        assert (kind, number, data['size']) == ('image', i, [48, 64])
        for name, shown in zip(('seeds', 'dump'), data['shown']):
            root = tmp_path / name
            label = np.array(Image.open(root / f'{img_id}.png'))
            assert (unpack(shown['label'], (48, 64)) == label[y][:, x]).all()
            score_map = ScoreMap.load(str(root / 'scores' / f'{img_id}.npz'))
            assert shown['scores']['classes'] == (score_map.class_ids +
                                                  1).tolist()
            maps = unpack(shown['scores']['maps'], score_map.maps.shape)
            assert np.abs(maps / 255 - score_map.maps).max() < .501 / 255
        mask = np.array(Image.open(tmp_path / f'masks/{img_id}.png'))
        assert (unpack(data['mask'], (48, 64)) == mask[y][:, x]).all()
        # `label` is that of the dump, the last step
        assert rows[i][3] == [c for c in np.unique(label) if 0 < c < 255]
        assert rows[i][1:3] == list(SHAPE)
        assert rows[i][8] == pytest.approx(by_id[img_id]['mIoU'], abs=.006)
        assert rows[i][6] == pytest.approx(100 * 16 / 4800, abs=.006)
    thumb = Image.open(tmp_path / 'out/labels/0/0.png').convert('RGBA')
    alpha = np.asarray(thumb)[..., 3]
    label = np.array(Image.open(tmp_path / f'dump/{ids[0]}.png'))
    assert 0 < (alpha == 0).mean() == pytest.approx(
        (label == 0).mean(), abs=.02)


def test_trust_against_a_loop():
    rng = np.random.default_rng(0)
    first, second = rng.choice([0, 1, 2, 255], (2, 6, 7)).astype(np.uint8)
    ious = []
    for cls in (1, 2):
        hit = union = 0
        for a, b in zip(first.flat, second.flat):
            if 255 not in (a, b):
                hit += a == cls == b
                union += cls in (a, b)
        ious.append(100 * hit / union)
    assert trust(first, second) == pytest.approx(sum(ious) / 2)
    empty = np.zeros((2, 2), np.uint8)
    assert trust(empty, empty) == 100
    assert trust(empty, empty + 3) == 0


def test_only_what_is_given_is_shown(folders, tmp_path):
    dump = open_dump(str(folders / 'dump'), use_scores=False)
    write_report(PageSource(dump), str(tmp_path / 'out'), max_images=2)
    files = files_of(tmp_path / 'out')
    assert not any(name.startswith(('images', 'thumbs')) for name in files)
    meta = values_of(files['meta.js'])[1]
    assert not (meta['shows'] or meta['masks'] or meta['scores'])
    assert meta['images'] == 2
    data = values_of(files['data/0/1.js'])[2]
    assert data['mask'] is None and data['shown'][0]['scores'] is None
    page = Page(files['index.html'].decode())
    orders = [node['attrs']['value'] for node in page.all('option')
              if 'select' in node['up']]  # yapf: disable
    assert not {'worst', 'trust'} & set(orders) and 'unknown' in orders
    assert not page.all('img') and not any('.svg' in name for name in files)
    hidden = [node for node in page.found if 'hidden' in node['attrs']]
    assert len(hidden) == 3
    assert '2 of 4 images' in files['index.html'].decode()


def test_names_are_never_html(out):
    files = files_of(out)
    for name, data in files.items():
        if name.endswith('.js') and name != 'report.js':
            assert b'<' not in data
    page = Page(files['index.html'].decode())
    assert not page.all('b', 'style', 'iframe', 'object')
    scripts = [node['attrs'].get('src') for node in page.all('script')]
    assert scripts == ['report.js', 'meta.js']
    for node in page.found:
        for name, value in node['attrs'].items():
            assert not name.startswith('on') and name != 'style'
            if name in ('href', 'src'):
                assert re.match(r'#|report\.|meta\.|data:,$|[a-z_]+\.svg$',
                                value), value
    # they are there as text
    assert any(node['text'].startswith(IMG) for node in page.all('option'))
    assert set(CLASSES) < {node['text'] for node in page.all('th')}
    assert any(IMG in node['text'] for node in page.all('pre'))
    assert {'a.pth', 'f' * 64} <= {node['text'] for node in page.all('dd')}
    policy = page.all('meta')[2]['attrs']
    assert policy['http-equiv'] == 'Content-Security-Policy'
    assert "default-src 'none'" in policy['content']
    assert not re.search('unsafe|http', policy['content'])
    script = (STATIC / 'report.js').read_text()
    for word in ('innerHTML', 'outerHTML', 'insertAdjacent', 'eval', 'fetch(',
                 'document.write', 'XMLHttp', 'http', 'Function('):
        assert word not in script, word
    css = (STATIC / 'report.css').read_text()
    assert 'url(' not in css and '@import' not in css


def test_every_control_has_a_name(out):
    page = Page((out / 'index.html').read_text('utf-8'))
    controls = page.all('input', 'select')
    assert len(controls) == 8
    assert all('label' in node['up'] for node in controls)
    for node in page.all('label', 'button', 'h1', 'summary', 'caption', 'a'):
        assert node['text'].strip(), node
    ids = [node['attrs']['id'] for node in page.found if 'id' in node['attrs']]
    assert len(ids) == len(set(ids))
    for attrs in (node['attrs'] for node in page.found):
        asked = [attrs.get(name) for name in ('aria-labelledby', 'for')]
        if attrs.get('href', '').startswith('#'):
            asked.append(attrs['href'][1:])
        assert set(asked) <= {None, *ids}
    assert all(node['attrs']['alt'] for node in page.all('img'))
    assert page.all('html')[0]['attrs']['lang'] == 'en'
    # ids that the script asks for
    script = (STATIC / 'report.js').read_text()
    assert set(re.findall(r"\$\('([^']+)'\)", script)) <= set(ids)


def contrast(*colours):
    """By the formula of WCAG 2."""
    light = []
    for colour in colours:
        parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= .04045 else ((part + .055) / 1.055)**2.4
            for part in parts)
        light.append(.2126 * red + .7152 * green + .0722 * blue + .05)
    return max(light) / min(light)


def test_contrast_of_both_schemes():
    assert contrast('#000000', '#ffffff') == pytest.approx(21)
    css = (STATIC / 'report.css').read_text()
    schemes = [
        dict(re.findall(r'--([\w-]+): (#[0-9a-f]{6});', block))
        for block in re.findall(r':root \{(.*?)\}', css, re.DOTALL)
    ]
    assert len(schemes) == 2
    for colours in schemes:
        for ink in ('ink', 'faint', 'accent'):
            for paper in ('paper', 'card', 'well'):
                ratio = contrast(colours[ink], colours[paper])
                assert ratio >= 4.5, (ink, paper, ratio)
        assert contrast(colours['on-accent'], colours['accent']) >= 4.5
    assert contrast(schemes[0]['paper'], schemes[1]['paper']) > 10
    # no other colour but black, behind class maps
    rest = re.sub(r':root \{.*?\}', '', css, flags=re.DOTALL)
    assert set(re.findall(r'#[0-9a-f]{3,6}\b', rest)) == {'#000'}
    assert 'prefers-reduced-motion' in css and ':focus-visible' in css


def test_same_bytes_and_replacement(source, out, tmp_path):
    first = files_of(out)
    (out / 'old.txt').write_text('of an earlier report')
    write_report(source, str(out))
    assert files_of(out) == first
    # a report that fails leaves the earlier one, and nothing of its own
    names = {path.name for path in tmp_path.iterdir()}
    (tmp_path / 'images' / f'{BAD_ID}.jpg').write_bytes(b'no image')
    with pytest.raises(InputError, match='not an image'):
        write_report(source, str(out))
    assert files_of(out) == first
    assert {path.name for path in tmp_path.iterdir()} == names
    # what is no report stays
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'index.html').write_text('<p>my page')
    with pytest.raises(InputError, match='mine: is there and is no report'):
        write_report(source, str(tmp_path / 'mine'))
    assert [p.name for p in (tmp_path / 'mine').iterdir()] == ['index.html']


def test_an_earlier_report_comes_back(source, out, monkeypatch):
    """When the new one cannot take its place."""
    first, move = files_of(out), os.replace

    def refuse(old, new):
        if str(old).endswith(f'.ready-p{os.getpid()}') and new == str(out):
            raise OSError('busy')
        move(old, new)

    monkeypatch.setattr(os, 'replace', refuse)
    with pytest.raises(InputError, match='out: cannot be written: busy'):
        write_report(source, str(out))
    assert files_of(out) == first


def test_bad_input_is_named(source, folders, tmp_path):
    out = str(tmp_path / 'out')

    def refuse(match, **changes):
        with pytest.raises(InputError, match=match):
            write_report(source._replace(**changes), out)
        assert not Path(out).exists()

    (folders / 'seeds' / 'scores' / 'a.npz').write_bytes(b'')
    refuse('a.npz: not a score map')
    Image.new('RGB', (80, 61)).save(folders / 'images' / 'a.jpg')
    make_dump(folders / 'seeds', threshold=.7, seed=1)
    refuse(r'a.jpg: \(61, 80\) pixels')
    (folders / 'seeds' / 'a.png').unlink()
    refuse('seeds: 1 of 4 images have no label: a')
    make_dump(tmp_path / 'other', names=('x', 'y', 'z'))
    for spec, match in (('dump={}/seeds', "two steps named 'dump'"),
                        ('={}/masks', 'needs a name'),
                        ('{}/other', 'its classes are not those')):
        with pytest.raises(InputError, match=match):
            open_steps([spec.format(folders)], source.dump)


def test_ten_thousand_rows_stay_small():
    names = ['background'] + [f'class number {i}' for i in range(80)]
    rng = np.random.default_rng(0)
    entries = []
    for i in range(10_000):
        found = [1 + (i + step) % 80 for step in (0, 7, 50)]
        row = dict(
            id=f'COCO_train2014_{i:012d}',
            height=480,
            width=640,
            tags=[names[j] for j in found],
            missed_tags=[names[found[0]]],
            unknown_share=100 * rng.random(),
            foreground_share=100 * rng.random(),
            mIoU=float('nan') if i % 7 == 0 else 100 * rng.random())
        entries.append(make_entry(row, found, names))
    files = index_files(entries)
    assert list(files) == [f'index/{i}.js' for i in range(20)]
    sizes = [len(data) for data in files.values()]
    assert max(sizes) < 50_000 and sum(sizes) < 900_000
    shards = [values_of(data) for data in files.values()]
    assert [shard[1] for shard in shards] == list(range(20))
    back = [row for shard in shards for row in shard[2]]
    assert back == entries and back[7][8] is None
    assert back[0][3:6] == [[1, 8, 51], [1, 8, 51], [1]]


def test_line_of_the_threshold_lies_over_the_curve(out):
    page = Page((out / 'index.html').read_text('utf-8'))
    line, = (node['attrs'] for node in page.all('span')
             if node['attrs'].get('class') == 'now')  # yapf: disable
    root = ElementTree.parse(out / 'curve.svg').getroot()
    width = float(root.get('viewBox').split()[2])
    # the area of the axes, whose left is threshold 0 and right is 1
    area = root.find(".//*[@id='patch_2']/*").get('d')
    across = [float(x) for x in re.findall(r'[ML] ([\d.]+)', area)]
    for name, end in (('data-from', min(across)), ('data-to', max(across))):
        assert float(line[name]) == pytest.approx(100 * end / width, abs=.01)


def test_small_pieces():
    assert fit((60, 80), 80) == (60, 80) and fit((60, 80), 40) == (30, 40)
    assert fit((1, 5000), 100) == (1, 100)
    assert spread('abcdefghij', 4) == ['a', 'c', 'f', 'h']
    assert spread('ab', 3) == spread('ab', None) == ['a', 'b']
    maps = np.random.default_rng(0).random((1, 512, 320))
    small = quantize(ScoreMap('a', (512, 320), [0], maps))
    assert small.shape == (1, 256, 160) and small.dtype == np.uint8
    pairs = maps.reshape(256, 2, 160, 2).mean((1, 3))
    assert np.abs(small[0] / 255 - pairs).max() < .501 / 255
    assert quantize(ScoreMap('a', (4, 4), [], maps[:0])).shape[0] == 0
    assert js_call('x', '</script>\u2028') == (
        b'groupWsssReport("x","\\u003c/script>\\u2028");\n')
    with pytest.raises(ValueError):
        js_call(float('nan'))


# ---- in a browser ---------------------------------------------------------


@pytest.fixture(scope='module')
def api():
    return pytest.importorskip(
        'playwright.sync_api', reason='playwright is not installed')


@pytest.fixture(scope='module')
def chromium(api):
    names = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
    path = next(filter(None, map(shutil.which, names)), None)
    with api.sync_playwright() as play:
        try:
            browser = play.chromium.launch(
                executable_path=path, args=['--no-sandbox'])
        except api.Error as error:
            pytest.skip(f'no Chromium starts: {str(error).splitlines()[0]}')
        yield browser
        browser.close()


@pytest.fixture
def open_page(api, chromium):
    """Open a report from ``file://``; errors on its console are failures."""
    pages = []

    def load(folder):
        page = chromium.new_page(viewport=dict(width=1200, height=800))
        page.set_default_timeout(20_000)
        api.expect.set_options(timeout=20_000)
        page.problems = []
        # wait_for_function would evaluate text, which the page forbids
        page.expect = lambda where: api.expect(page.locator(where))
        page.on('console', lambda message: page.problems.append(message.text))
        page.on('pageerror', lambda error: page.problems.append(str(error)))
        page.on('dialog', lambda dialog: page.problems.append('a dialog'))
        page.goto((Path(folder) / 'index.html').as_uri())
        page.wait_for_selector('.card')
        pages.append(page)
        return page

    yield load
    for page in pages:
        page.close()


def canvas_of(page, selector):
    """RGBA of a canvas."""
    size, data = page.evaluate(
        '''(selector) => {
          const c = document.querySelector(selector);
          const d = c.getContext('2d').getImageData(0, 0, c.width, c.height);
          return [[c.height, c.width], Array.from(d.data)];
        }''', selector)
    return np.array(data, dtype=np.uint8).reshape(*size, 4)


def relabel(path, shape, threshold):
    """What the slider should give, from the rounded scores."""
    score_map = ScoreMap.load(str(path))
    maps = torch.from_numpy(np.round(255 * score_map.maps))[None]
    score, at = F.interpolate(maps, shape, mode='bilinear')[0].max(0)
    label = torch.from_numpy(score_map.class_ids)[at] + 1
    return torch.where(score > 255 * threshold, label, 0).numpy()


def test_keyboard_filter_and_slider(open_page, source, out):
    page = open_page(out)
    ids = source.dump.ids
    names = page.locator('.caption .name')
    assert names.all_text_contents() == ids
    # filter and order; no class is in all images, and the row says which
    rows = values_of((out / 'index/0.js').read_bytes())[2]
    page.select_option('#class', '1')
    wanted = [row[0] for row in rows if 1 in row[3] + row[4]]
    assert 0 < len(wanted) < len(ids)
    assert names.all_text_contents() == wanted
    assert page.text_content('#status') == f'{len(wanted)} of 4 images'
    page.select_option('#class', '')
    # what the steps disagree on first; and by the masks
    orders = dict(best=(8, -1), trust=(9, 1), worst=(8, 1))
    for order, (column, sign) in orders.items():
        page.select_option('#order', order)
        rows.sort(key=lambda row: sign * row[column])
        wanted = [row[0] for row in rows]
        assert names.all_text_contents() == wanted
    page.fill('#find', 'SCRIPT')
    assert page.locator('.card').count() == 1
    page.fill('#find', '')
    # arrows, Enter, Esc
    page.locator('.card').first.focus()
    page.keyboard.press('ArrowRight')
    page.keyboard.press('Enter')
    page.wait_for_selector('#stage canvas')
    assert page.text_content('#viewer-title') == wanted[1]
    page.keyboard.press('ArrowRight')
    page.expect('#viewer-title').to_have_text(wanted[2])
    assert page.text_content('#viewer-place') == '3 of 4'
    page.keyboard.press('Escape')
    page.wait_for_selector('#viewer', state='hidden')
    assert page.evaluate('document.activeElement.title') == wanted[2]
    # the slider labels again, in the gallery and in the viewer
    page.fill('#tools [data-in=threshold]', '0.65')
    assert page.is_checked('[data-in=relabel]')
    card = f'.card[data-n="{ids.index(wanted[0])}"] canvas'
    page.wait_for_selector(card)
    expected = relabel(f'{source.dump.scores}/{wanted[0]}.npz', (48, 64), .65)
    assert 0 < (expected > 0).mean() < 1
    for place in (card, '#stage canvas'):
        if place != card:
            page.locator('.card').first.click()
            page.wait_for_selector('[data-layer=now][aria-pressed=true]')
        drawn = canvas_of(page, place)
        colours = bright_palette()[expected]
        same = (drawn[..., 3] > 0) == (expected > 0)
        same &= (expected == 0) | (drawn[..., :3] == colours).all(axis=2)
        assert same.mean() > .999
    assert page.locator('#strip .what').all_text_contents() == [
        'image', f'{STEP}: class maps', f'{STEP}: label', 'dump: class maps',
        'dump: label', 'label at 0.65', 'mask'
    ]
    # without the check box it is the dump's own label again
    page.keyboard.press('Escape')
    page.uncheck('[data-in=relabel]')
    page.expect('.card img.over:visible').to_have_count(len(ids))
    page.locator('.card').first.click()
    page.wait_for_selector('[data-layer=label1][aria-pressed=true]')
    assert page.problems == []


def test_images_to_leave_out(open_page, source, out):
    """Ticks are kept when the page is opened again, but for other labels."""
    page = open_page(out)
    assert page.is_disabled('#save-out')
    page.locator('.out input').first.check()
    with page.expect_download() as caught:
        page.click('#save-out')
    assert Path(caught.value.path()).read_text() == f'{source.dump.ids[0]}\n'
    page.reload()
    page.wait_for_selector('.card')
    assert page.text_content('#save-out') == 'Save list of 1 to leave out'
    meta = (out / 'meta.js').read_text()
    (out / 'meta.js').write_text(meta.replace('"digest":"', '"digest":"x'))
    page.reload()
    page.wait_for_selector('.card')
    assert page.is_disabled('#save-out')


def test_screenshot_shows_the_blend(open_page, source, out, tmp_path):
    page = open_page(out)
    label = np.array(Image.open(tmp_path / f'dump/{source.dump.ids[0]}.png'))
    page.locator('.card').first.click()
    page.wait_for_selector('#stage canvas')
    page.locator('#stage img').evaluate('(image) => image.decode()')
    box = page.locator('#stage .stack').bounding_box()
    scale = min(box['width'] / 80, box['height'] / 60)
    # the middle of pixels inside regions, where nothing is enlarged
    inside = [
        (y, x) for y in range(6, 54, 4) for x in range(6, 74, 4)
        if label[y, x] and len(np.unique(label[y - 2:y + 3, x - 2:x + 3])) == 1
    ]
    assert len(inside) > 10
    for blend in (0., .6, 1.):
        page.fill('#viewer [data-in=blend]', str(blend))
        page.wait_for_timeout(100)
        shot = np.asarray(
            Image.open(io.BytesIO(
                page.locator('#stage').screenshot())).convert('RGB'))
        for y, x in inside:
            at = shot[round(box['height'] / 2 + (y + .5 - 30) * scale),
                      round(box['width'] / 2 + (x + .5 - 40) * scale)]
            mixed = (1 - blend) * np.array([20, 160, 60.])
            mixed += blend * bright_palette()[label[y, x]]
            assert np.abs(at - mixed).max() < 8, (blend, y, x)
    assert page.problems == []


def test_ten_thousand_in_the_browser(open_page, out):
    meta, palette = values_of((out / 'meta.js').read_bytes())[1:]
    meta.update(images=10_000, shards=20)
    (out / 'meta.js').write_bytes(js_call('meta', meta, palette))
    rows = [[
        f'image {i}', 60, 80, [1 + i % 3], [1], [], i % 100, i % 97,
        None if i % 5 else i % 89
    ] for i in range(10_000)]
    for name, data in index_files(rows).items():
        (out / name).write_bytes(data)
    page = open_page(out)
    page.expect('#status').to_have_text('10000 images')
    assert page.locator('.card').count() == 48
    took = page.evaluate('''() => {
      const start = performance.now();
      const select = document.querySelector('#order');
      select.value = 'worst';
      select.dispatchEvent(new Event('change'));
      return performance.now() - start;
    }''')
    assert took < 1000
    page.select_option('#class', '2')
    page.click('#page-on')
    assert page.text_content('#page-text') == 'Page 2 of 70'
    # pictures out of sight are not loaded
    assert page.locator('img[data-src]').count() > 0
