// Copyright (c) group_wsss contributors. All rights reserved.
// The gallery of a report. Data come as scripts, because a page from file://
// may load nothing else: each calls groupWsssReport(kind, ...). Names of files
// and classes reach the page as text nodes and attributes, never as HTML.
(function () {
  'use strict';

  const PAGE = 48;
  const UNKNOWN = 255;
  const THUMB = 256;
  const CACHE = 64;
  // fields of a row of the index
  const ID = 0, HEIGHT = 1, WIDTH = 2, FOUND = 3, TAGS = 4, LACKS = 5,
    UNKNOWN_SHARE = 6, FOREGROUND = 7, SCORE = 8, TRUST = 9;

  const $ = (id) => document.getElementById(id);
  const state = {
    blend: 0.6, threshold: 0.5, relabel: false, page: 0, shown: null,
    layer: null, only: null, wanted: null
  };
  let meta = null;
  let colours = null; // Uint32 by label value, opaque
  let rgb = null;
  let rows = [];
  let loaded = 0; // shards
  let view = []; // positions of the rows that pass the filter, in order
  const cards = new Map(); // position -> {link, canvas} of this page
  const visible = new Set();
  const images = new Map(); // position -> promise; the oldest first
  const waiting = new Map(); // position -> {resolve, reject}
  let leftOut = new Set(); // ids

  function make(tag, properties, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  // ---- data -------------------------------------------------------------

  function script(src, failed) {
    const node = make('script', { src, onload: () => node.remove() });
    node.onerror = () => { node.remove(); failed(); };
    document.head.append(node);
  }

  const path = (kind, n, suffix) =>
    `${kind}/${Math.floor(n / meta.folderSize)}/${n}${suffix}`;

  function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream()
      .pipeThrough(new DecompressionStream('deflate'));
    return new Response(stream).arrayBuffer().then((b) => new Uint8Array(b));
  }

  function decode(raw) {
    const jobs = raw.shown.map((step) => Promise.all([
      inflate(step.label),
      step.scores ? inflate(step.scores.maps) : null
    ]).then(([label, maps]) => ({
      label,
      scores: maps && { size: step.scores.size, classes: step.scores.classes, maps }
    })));
    jobs.push(raw.mask ? inflate(raw.mask) : null);
    return Promise.all(jobs).then((all) => ({
      size: raw.size, mask: all.pop(), shown: all
    }));
  }

  function image(n) {
    if (!images.has(n)) {
      images.set(n, new Promise((resolve, reject) => {
        waiting.set(n, { resolve, reject });
        script(path('data', n, '.js'),
          () => reject(new Error('data file is missing')));
      }).then(decode));
      if (images.size > CACHE) images.delete(images.keys().next().value);
    }
    return images.get(n);
  }

  // ---- images ---------------------------------------------------------

  function fit(size, side) {
    const scale = Math.min(1, side / Math.max(size[0], size[1]));
    return size.map((edge) => Math.max(1, Math.round(edge * scale)));
  }

  // maps enlarged as the labeler does (bilinear, no aligned corners), then the
  // strongest class; a tie goes to the lower one
  function best(scores, size, only) {
    const [h, w] = scores.size, [height, width] = size;
    const value = new Float32Array(height * width);
    const label = new Uint8Array(height * width);
    const xs = axis(w, width), ys = axis(h, height);
    scores.classes.forEach((cls, c) => {
      if (only !== null && cls !== only) return;
      const map = scores.maps.subarray(c * h * w, (c + 1) * h * w);
      for (let y = 0, i = 0; y < height; y++) {
        const a = ys.low[y] * w, b = ys.high[y] * w, v = ys.share[y];
        for (let x = 0; x < width; x++, i++) {
          const p = xs.low[x], q = xs.high[x], u = xs.share[x];
          const s = (1 - v) * ((1 - u) * map[a + p] + u * map[a + q]) +
            v * ((1 - u) * map[b + p] + u * map[b + q]);
          if (!label[i] || s > value[i]) { value[i] = s; label[i] = cls; }
        }
      }
    });
    return { value, label };
  }

  function axis(from, to) {
    const low = new Int32Array(to), high = new Int32Array(to);
    const share = new Float32Array(to);
    for (let i = 0; i < to; i++) {
      const at = Math.max(0, (i + 0.5) * from / to - 0.5);
      low[i] = Math.min(Math.floor(at), from - 1);
      high[i] = Math.min(low[i] + 1, from - 1);
      share[i] = at - low[i];
    }
    return { low, high, share };
  }

  function relabel(scores, size, threshold) {
    const { value, label } = best(scores, size, null);
    for (let i = 0; i < label.length; i++) {
      if (!(value[i] > 255 * threshold)) label[i] = 0;
    }
    return label;
  }

  function put(canvas, size, fill) {
    canvas.height = size[0];
    canvas.width = size[1];
    const picture = new ImageData(size[1], size[0]);
    fill(new Uint32Array(picture.data.buffer));
    canvas.getContext('2d').putImageData(picture, 0, 0);
  }

  function paintLabel(canvas, label, size, only) {
    put(canvas, size, (out) => {
      for (let i = 0; i < out.length; i++) {
        const cls = label[i];
        if (cls && (only === null || cls === only)) out[i] = colours[cls];
      }
    });
  }

  function paintMaps(canvas, scores, size, only) {
    const { value, label } = best(scores, size, only);
    put(canvas, size, (out) => {
      for (let i = 0; i < out.length; i++) {
        if (label[i]) {
          out[i] = ((colours[label[i]] & 0xffffff) |
            (Math.round(value[i]) << 24)) >>> 0;
        }
      }
    });
  }

  function stack(n, side) {
    if (!meta.shows) return { node: make('span', { className: 'stack bare' }), image: null };
    const image = make('img', { className: 'image', alt: `Image ${rows[n][ID]}` });
    image.dataset.src = path(side, n, '.jpg');
    return { node: make('span', { className: 'stack' }, image), image };
  }

  const named = (classes) => classes.map((c) => meta.classes[c]).join(', ');
  const text = (value, digits, unit) =>
    value === null ? '–' : value.toFixed(digits) + (unit || '');

  // ---- gallery ----------------------------------------------------------

  function select() {
    const cls = $('class').value === '' ? null : Number($('class').value);
    const part = $('find').value.trim().toLowerCase();
    const order = $('order').value;
    view = [];
    rows.forEach((row, n) => {
      if (cls !== null && !row[FOUND].includes(cls) && !row[TAGS].includes(cls)) return;
      if (part && !row[ID].toLowerCase().includes(part)) return;
      view.push(n);
    });
    // unknown figures last, equal ones by name
    const by = (key, sign) => view.sort((a, b) => {
      const x = key(rows[a]), y = key(rows[b]);
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      return sign * (x - y) || a - b;
    });
    const column = {
      worst: SCORE, best: SCORE, trust: TRUST, unknown: UNKNOWN_SHARE,
      foreground: FOREGROUND, little: FOREGROUND
    }[order];
    if (order === 'missed') by((r) => r[LACKS].length, -1);
    else if (column) by((r) => r[column], ['worst', 'trust', 'little'].includes(order) ? 1 : -1);
    state.page = 0;
    showPage();
  }

  function captionOf(row) {
    const order = $('order').value;
    if (order === 'unknown') return `${text(row[UNKNOWN_SHARE], 1, ' %')} unknown`;
    if (order === 'trust') return `trust ${text(row[TRUST], 1)}`;
    if (order === 'foreground' || order === 'little' || row[SCORE] === null) {
      return `${text(row[FOREGROUND], 1, ' %')} object`;
    }
    if (order === 'missed') return row[LACKS].length ? `lacks ${named(row[LACKS])}` : '';
    return `mIoU ${text(row[SCORE], 1)}`;
  }

  function showPage(focus) {
    const pages = Math.max(1, Math.ceil(view.length / PAGE));
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    cards.forEach((card) => watcher.unobserve(card.link));
    cards.clear();
    visible.clear();
    const list = view.slice(state.page * PAGE, (state.page + 1) * PAGE);
    $('cards').replaceChildren(...list.map((n, i) => makeCard(n, i)));
    cards.forEach((card) => watcher.observe(card.link));
    $('page-back').disabled = state.page === 0;
    $('page-on').disabled = state.page === pages - 1;
    $('page-text').textContent = `Page ${state.page + 1} of ${pages}`;
    const rest = loaded < meta.shards ? ', loading more ...' : '';
    $('status').textContent = view.length === rows.length
      ? `${rows.length} images${rest}`
      : `${view.length} of ${rows.length} images${rest}`;
    if (focus !== undefined) focusCard(focus);
  }

  function makeCard(n, i) {
    const row = rows[n];
    const { node } = stack(n, 'thumbs');
    const label = make('img', {
      className: 'over',
      alt: row[FOUND].length ? `label: ${named(row[FOUND])}` : 'label: background only'
    });
    label.dataset.src = path('labels', n, '.png');
    const canvas = make('canvas', { className: 'over', hidden: true });
    node.append(label, canvas);
    // shortened in the middle: the ends of names tell images apart
    const end = Array.from(row[ID]).slice(-8).join('');
    const start = row[ID].slice(0, row[ID].length - end.length);
    const caption = make('span', { className: 'caption' },
      make('span', { className: 'name' }, make('span', {}, start), make('span', {}, end)),
      make('span', { className: 'value' }, captionOf(row)));
    const link = make('a', {
      className: 'card', href: `#image-${n}`, tabIndex: i ? -1 : 0, title: row[ID]
    }, node, caption);
    link.dataset.n = n;
    const item = make('li', {}, link);
    item.append(leaveOutBox(row[ID], item));
    cards.set(n, { link, canvas, label });
    return item;
  }

  // ---- images to leave out ----------------------------------------------

  // ticks of other labels at the same place are not these
  const key = () => `leave out ${location.pathname} ${meta.digest}`;

  function leaveOutBox(id, item) {
    const box = make('input', { type: 'checkbox', checked: leftOut.has(id) });
    item.classList.toggle('left-out', box.checked);
    box.addEventListener('change', () => {
      if (box.checked) leftOut.add(id); else leftOut.delete(id);
      item.classList.toggle('left-out', box.checked);
      try { localStorage.setItem(key(), JSON.stringify([...leftOut])); } catch (_) { /* private window */ }
      showLeftOut();
    });
    return make('label', { className: 'out' }, box, ' leave out');
  }

  function showLeftOut() {
    $('save-out').disabled = !leftOut.size;
    $('save-out').textContent = leftOut.size
      ? `Save list of ${leftOut.size} to leave out` : 'Save list of images to leave out';
  }

  function recallLeftOut() {
    try { leftOut = new Set(JSON.parse(localStorage.getItem(key()) || '[]')); } catch (_) { /* none */ }
    showLeftOut();
  }

  function saveLeftOut() {
    const link = make('a', {
      download: 'leave_out.txt',
      href: URL.createObjectURL(new Blob(
        [[...leftOut].sort().map((id) => `${id}\n`).join('')], { type: 'text/plain' }))
    });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  const watcher = new IntersectionObserver((changes) => {
    changes.forEach((change) => {
      const n = Number(change.target.dataset.n);
      if (!change.isIntersecting) { visible.delete(n); return; }
      if (!cards.has(n)) return;
      visible.add(n);
      change.target.querySelectorAll('img[data-src]').forEach(loadPicture);
      paintCard(n);
    });
  }, { rootMargin: '300px' });

  function loadPicture(picture) {
    picture.src = picture.dataset.src;
    delete picture.dataset.src;
  }

  function paintCard(n) {
    const card = cards.get(n);
    if (!state.relabel) {
      card.canvas.hidden = true;
      card.label.hidden = false;
      return;
    }
    image(n).then((data) => {
      const scores = data.shown[data.shown.length - 1].scores;
      if (cards.get(n) !== card || !state.relabel || !scores) return;
      const size = fit(data.size, THUMB);
      paintLabel(card.canvas, relabel(scores, size, state.threshold), size, null);
      card.canvas.setAttribute('role', 'img');
      card.canvas.setAttribute('aria-label', `label at threshold ${state.threshold.toFixed(2)}`);
      card.canvas.hidden = false;
      card.label.hidden = true;
    }).catch(complain);
  }

  function complain(error) {
    $('status').textContent = `Cannot show a label: ${error.message}`;
  }

  function focusCard(n) {
    const card = cards.get(n);
    if (!card) return;
    cards.forEach((other) => { other.link.tabIndex = -1; });
    card.link.tabIndex = 0;
    card.link.focus();
  }

  function moveInGallery(event) {
    const link = event.target.closest('.card');
    if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
    const first = $('cards').firstElementChild;
    const wide = first ? Math.max(1, Math.round(
      $('cards').clientWidth / first.getBoundingClientRect().width - 0.2)) : 1;
    const step = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide,
      Home: -Infinity, End: Infinity
    }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const start = state.page * PAGE;
    const here = view.indexOf(Number(link.dataset.n));
    let to = here + step;
    if (step === -Infinity) to = start;
    if (step === Infinity) to = Math.min(start + PAGE, view.length) - 1;
    if (to < 0 || to >= view.length) return;
    const page = Math.floor(to / PAGE);
    if (page !== state.page) { state.page = page; showPage(view[to]); } else focusCard(view[to]);
  }

  // ---- one image ---------------------------------------------------

  function layersOf(data) {
    const layers = meta.shows ? [{ key: 'image', name: 'image', kind: 'plain' }] : [];
    data.shown.forEach((step, i) => {
      const name = meta.steps[i];
      if (step.scores) layers.push({ key: `maps${i}`, name: `${name}: class maps`, kind: 'maps', scores: step.scores });
      layers.push({ key: `label${i}`, name: `${name}: label`, kind: 'label', label: step.label });
    });
    const scores = data.shown[data.shown.length - 1].scores;
    if (scores) {
      const label = relabel(scores, data.size, state.threshold);
      layers.push({ key: 'now', name: `label at ${state.threshold.toFixed(2)}`, kind: 'label', label });
    }
    if (data.mask) layers.push({ key: 'mask', name: 'mask', kind: 'label', label: data.mask });
    return layers;
  }

  function paintLayer(canvas, layer, size, only) {
    if (layer.kind === 'maps') paintMaps(canvas, layer.scores, size, only);
    if (layer.kind === 'label') paintLabel(canvas, layer.label, size, only);
  }

  function open(n) {
    if (!meta || !rows[n]) return;
    state.shown = n;
    state.only = null;
    const row = rows[n], place = view.indexOf(n);
    $('viewer-title').textContent = row[ID];
    $('viewer-place').textContent = place < 0 ? '' : `${place + 1} of ${view.length}`;
    $('viewer-back').disabled = place <= 0;
    $('viewer-on').disabled = place < 0 || place === view.length - 1;
    $('facts').replaceChildren(...[
      ['size', `${row[WIDTH]} × ${row[HEIGHT]}`],
      ['tags', row[TAGS].length ? named(row[TAGS]) : '–'],
      ['tags its label lacks', row[LACKS].length ? named(row[LACKS]) : '–'],
      ['foreground', text(row[FOREGROUND], 1, ' %')],
      ['unknown', text(row[UNKNOWN_SHARE], 1, ' %')],
      ['trust', text(row[TRUST], 1)]
    ].concat(meta.masks ? [['mIoU', text(row[SCORE], 1)]] : []).map(([term, words]) =>
      make('div', {}, make('dt', {}, term), make('dd', {}, words))));
    if (!$('viewer').open) {
      $('viewer').showModal();
      $('viewer-title').focus();
    }
    image(n).then((data) => { if (state.shown === n) showLayers(data); })
      .catch((error) => { $('legend-note').textContent = `Cannot show the label: ${error.message}`; });
  }

  function showLayers(data) {
    const layers = layersOf(data), last = `label${data.shown.length - 1}`;
    const keys = layers.map((layer) => layer.key);
    if (!keys.includes(state.layer)) state.layer = state.relabel && keys.includes('now') ? 'now' : last;
    const chosen = layers.find((layer) => layer.key === state.layer);
    $('stage').replaceChildren(
      picture($('stage').firstElementChild, data, chosen, data.size, 'images', state.only));
    // the buttons stay, so that the focus stays with them
    const buttons = Array.from($('strip').children);
    layers.forEach((layer, i) => {
      const button = buttons[i] || $('strip').appendChild(make('button', { type: 'button' }));
      button.dataset.layer = layer.key;
      button.setAttribute('aria-pressed', String(layer === chosen));
      button.replaceChildren(
        picture(button.firstElementChild, data, layer, fit(data.size, THUMB), 'thumbs', null),
        make('span', { className: 'what' }, layer.name));
    });
    buttons.slice(layers.length).forEach((button) => button.remove());
    showLegend(chosen, data);
  }

  // `old` is painted again where it shows the same: a new image flickers
  function picture(old, data, layer, size, side, only) {
    const of = `${state.shown} ${layer.key}`;
    if (old && old.dataset.of === of && side === 'thumbs' && layer.key !== 'now') return old;
    let node = old;
    if (!old || old.dataset.of !== of) {
      const made = stack(state.shown, side);
      node = made.node;
      node.dataset.of = of;
      node.classList.add(layer.kind);
      if (made.image) loadPicture(made.image);
      if (layer.kind !== 'plain') {
        const canvas = make('canvas', { className: 'over' });
        canvas.setAttribute('role', 'img');
        node.append(canvas);
      }
    }
    const canvas = node.querySelector('canvas');
    if (canvas) {
      const small = layer.kind === 'label' && size !== data.size
        ? { kind: 'label', label: nearest(layer.label, data.size, size) } : layer;
      paintLayer(canvas, small, size, only);
      canvas.setAttribute('aria-label', layer.name);
    }
    return node;
  }

  function nearest(label, from, to) {
    const out = new Uint8Array(to[0] * to[1]);
    for (let y = 0, i = 0; y < to[0]; y++) {
      const row = Math.floor((y + 0.5) * from[0] / to[0]) * from[1];
      for (let x = 0; x < to[1]; x++, i++) {
        out[i] = label[row + Math.floor((x + 0.5) * from[1] / to[1])];
      }
    }
    return out;
  }

  function showLegend(layer, data) {
    const rowsOf = [];
    if (layer.kind === 'label') {
      const counts = new Array(256).fill(0);
      layer.label.forEach((cls) => { counts[cls] += 1; });
      counts.forEach((count, cls) => {
        if (count && cls) rowsOf.push([cls, text(100 * count / layer.label.length, 1, ' %'), count]);
      });
      rowsOf.sort((a, b) => b[2] - a[2]);
      $('legend-note').textContent = rowsOf.length ? 'Share of the pixels; press one to see it alone.' : 'Background only.';
    } else if (layer.kind === 'maps') {
      const { size, classes, maps } = layer.scores, area = size[0] * size[1];
      classes.forEach((cls, c) => {
        const high = maps.subarray(c * area, (c + 1) * area).reduce((a, b) => Math.max(a, b), 0);
        rowsOf.push([cls, text(high / 255, 2)]);
      });
      $('legend-note').textContent = classes.length ? 'Highest score; press one to see its map alone.' : 'No class.';
    } else {
      $('legend-note').textContent = 'Choose a view below.';
    }
    const focused = document.activeElement && document.activeElement.dataset.only;
    $('legend').replaceChildren(...rowsOf.map(([cls, share]) => {
      const swatch = make('span', { className: 'swatch' });
      swatch.style.backgroundColor = `rgb(${rgb[cls].join(' ')})`;
      const button = make('button', { type: 'button' }, swatch,
        make('span', {}, cls === UNKNOWN ? 'unknown' : meta.classes[cls]),
        make('span', { className: 'share' }, share));
      button.dataset.only = cls;
      button.setAttribute('aria-pressed', String(state.only === cls));
      button.onclick = () => {
        state.only = state.only === cls ? null : cls;
        showLayers(data);
      };
      return make('li', {}, button);
    }));
    if (focused !== undefined) {
      const again = $('legend').querySelector(`[data-only="${focused}"]`);
      if (again) again.focus();
    }
  }

  function go(step) {
    const to = view[view.indexOf(state.shown) + step];
    if (to !== undefined) location.replace(`#image-${to}`);
  }

  function closed() {
    const n = state.shown;
    state.shown = null;
    if (location.hash) history.replaceState(null, '', '#');
    const place = view.indexOf(n);
    if (place < 0) return;
    const page = Math.floor(place / PAGE);
    if (page !== state.page) { state.page = page; showPage(n); } else focusCard(n);
  }

  function follow() {
    const found = /^#image-(\d+)$/.exec(location.hash);
    if (found) open(Number(found[1]));
    else if ($('viewer').open) $('viewer').close();
  }

  // ---- controls ---------------------------------------------------------

  let planned = false;
  function redraw() {
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      visible.forEach(paintCard);
      const n = state.shown;
      if (n !== null) image(n).then((data) => { if (state.shown === n) showLayers(data); }).catch(complain);
    });
  }

  function showControls() {
    document.documentElement.style.setProperty('--blend', state.blend);
    document.querySelectorAll('[data-in]').forEach((input) => {
      if (input.type === 'checkbox') input.checked = state.relabel;
      else input.value = state[input.dataset.in];
    });
    document.querySelectorAll('[data-out]').forEach((output) => {
      output.textContent = output.dataset.out === 'blend'
        ? `${Math.round(100 * state.blend)} %` : state.threshold.toFixed(2);
    });
    const line = document.querySelector('.now');
    if (line) {
      const from = Number(line.dataset.from), to = Number(line.dataset.to);
      line.style.left = `${from + state.threshold * (to - from)}%`;
      line.hidden = false;
    }
  }

  function control(event) {
    const input = event.target, name = input.dataset.in;
    if (!name) return;
    state[name] = input.type === 'checkbox' ? input.checked : Number(input.value);
    if (name === 'threshold') state.relabel = true;
    if (name !== 'blend') state.layer = state.relabel ? 'now' : null;
    showControls();
    if (name !== 'blend') redraw();
  }

  function start() {
    state.threshold = meta.threshold;
    if (typeof DecompressionStream === 'undefined') {
      document.querySelectorAll('[data-needs-scores]').forEach((node) => { node.hidden = true; });
    }
    showControls();
    recallLeftOut();
    document.addEventListener('input', control);
    $('save-out').addEventListener('click', saveLeftOut);
    $('tools').addEventListener('submit', (event) => event.preventDefault());
    $('class').addEventListener('change', select);
    $('order').addEventListener('change', select);
    $('find').addEventListener('input', select);
    $('page-back').addEventListener('click', () => { state.page -= 1; showPage(); });
    $('page-on').addEventListener('click', () => { state.page += 1; showPage(); });
    $('cards').addEventListener('keydown', moveInGallery);
    $('viewer-back').addEventListener('click', () => go(-1));
    $('viewer-on').addEventListener('click', () => go(1));
    $('viewer-close').addEventListener('click', () => $('viewer').close());
    $('viewer').addEventListener('close', closed);
    $('viewer').addEventListener('keydown', (event) => {
      if (event.target.type === 'range' || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'ArrowLeft') go(-1);
      if (event.key === 'ArrowRight') go(1);
    });
    $('strip').addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (!button) return;
      state.layer = button.dataset.layer;
      state.only = null;
      redraw();
    });
    window.addEventListener('hashchange', follow);
    loadShard(0);
  }

  function loadShard(i) {
    if (i < meta.shards) {
      script(`index/${i}.js`, () => { $('status').textContent = `index/${i}.js is missing`; });
    }
  }

  const receive = {
    meta(given, palette) {
      meta = given;
      rgb = palette;
      colours = Uint32Array.from(palette, (c) =>
        ((255 << 24) | (c[2] << 16) | (c[1] << 8) | c[0]) >>> 0);
      start();
    },
    index(i, part) {
      rows = rows.concat(part);
      loaded = i + 1;
      loadShard(loaded);
      // the first page at once, then when all is there
      if (i === 0 || loaded === meta.shards) select();
      if (i === 0 || loaded === meta.shards) follow();
    },
    image(n, data) {
      if (waiting.has(n)) waiting.get(n).resolve(data);
      waiting.delete(n);
    }
  };
  window.groupWsssReport = (kind, ...values) => receive[kind](...values);
}());
