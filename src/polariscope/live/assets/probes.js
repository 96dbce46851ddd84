// The attention that every head of a layer gives in a sentence, where a run is probed with some.
const probes = { run: null, step: null, sentences: [], heads: [], shown: '', head: 0, cell: 0 };

// A map of one head: queries are rows, keys columns.
function drawMap(canvas, weights, tokens, cell, words) {
  const count = tokens.length;
  canvas.style.width = `${words.left + count * cell}px`;
  const paint = prepared(canvas, words.left + count * cell, words.top + count * cell);
  for (let query = 0; query < count; ++query) {
    for (let key = 0; key < count; ++key) {
      // The square root shows small weights, too.
      paint.fillStyle = `rgb(${rampColour(Math.sqrt(Math.abs(weights[query * count + key] ?? 0))).join(',')})`;
      paint.fillRect(words.left + key * cell, words.top + query * cell, cell + (key + 1 < count), cell + (query + 1 < count));
    }
  }
  return paint;
}

const tokenText = (token) => token.replaceAll('\n', '⏎').replaceAll('\t', '⇥') || '∅';

function drawLarge() {
  const sentence = probes.sentences[Number(find('sentence').value)], weights = probes.heads[probes.head];
  if (!sentence || !weights) return;
  const { tokens } = sentence, canvas = find('map');
  const room = canvas.parentElement.clientWidth, named = tokens.length <= 40;
  const words = { left: named ? 78 : 0, top: named ? 66 : 0 };
  const kWidest = 560, largest = tokens.length <= 10 ? 40 : 24;
  const fitting = Math.floor((Math.min(room, kWidest) - words.left) / tokens.length);
  probes.cell = Math.max(2, Math.min(largest, fitting));
  const paint = drawMap(canvas, weights, tokens, probes.cell, words);
  probes.words = words;
  const layer = find('probe-layer').value;
  canvas.setAttribute('aria-label', `Attention of head ${probes.head + 1} of layer ${layer} in the sentence`);
  if (!named) return;
  paint.font = `${Math.min(11.5, Math.max(8, probes.cell - 2))}px ${style('--text')}`;
  paint.fillStyle = style('--muted');
  paint.textBaseline = 'middle';
  tokens.forEach((token, i) => {
    const middle = (i + 0.5) * probes.cell;
    paint.textAlign = 'right';
    paint.fillText(tokenText(token).slice(0, 11), words.left - 6, words.top + middle, words.left - 8);
    paint.save();
    paint.translate(words.left + middle, words.top - 6);
    paint.rotate(-Math.PI / 2);
    paint.textAlign = 'left';
    paint.fillText(tokenText(token).slice(0, 11), 0, 0, words.top - 8);
    paint.restore();
  });
}

function drawThumbs() {
  const sentence = probes.sentences[Number(find('sentence').value)];
  if (!sentence) return;
  const cell = Math.max(1, Math.floor(84 / sentence.tokens.length));
  find('thumbs').replaceChildren(...probes.heads.map((weights, head) => {
    const canvas = make('canvas');
    drawMap(canvas, weights, sentence.tokens, cell, { left: 0, top: 0 });
    const button = make('button', { type: 'button' }, canvas, make('span', { textContent: `head ${head + 1}` }));
    button.setAttribute('aria-pressed', String(head === probes.head));
    button.addEventListener('click', () => {
      probes.head = head;
      drawThumbs();
      drawLarge();
    });
    return button;
  }));
}

function listenToMap() {
  const canvas = find('map'), tip = canvas.parentElement.querySelector('.tip');
  canvas.addEventListener('pointermove', (event) => {
    const { words, cell } = probes, tokens = probes.sentences[Number(find('sentence').value)]?.tokens ?? [];
    const key = Math.floor((event.offsetX - words.left) / cell), query = Math.floor((event.offsetY - words.top) / cell);
    const count = tokens.length;
    tip.hidden = key < 0 || query < 0 || key >= count || query >= count;
    if (tip.hidden) return;
    const weight = make('em', { textContent: numberText(probes.heads[probes.head][query * count + key]) });
    tip.replaceChildren(make('span', {}, `“${tokenText(tokens[query])}” to “${tokenText(tokens[key])}” `, weight));
    tip.style.left = `${Math.min(event.offsetX + 14, canvas.parentElement.clientWidth - 150)}px`;
    tip.style.top = `${event.offsetY + 14}px`;
  });
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
}

async function updateProbes() {
  const run = focusRun();
  if (!run) {
    find('probes').hidden = true;
    return;
  }
  const reply = await ask('probes', { run: run.id });
  find('probes').hidden = reply.sentences.length === 0 && !reply.note;
  find('probe-step').textContent = reply.note ?? (reply.sentences.length > 0 ? `at step ${stepText(reply.step)}` : '');
  if (reply.sentences.length === 0) return;
  probes.sentences = reply.sentences;
  const shortened = (tokens) => tokens.map(tokenText).join('').trim().slice(0, 60);
  offer(find('sentence'), reply.sentences.map(({ tokens }, i) => [String(i), shortened(tokens)]));
  const sentence = Number(find('sentence').value);
  offer(find('probe-layer'), reply.sentences[sentence].heads.map((_, i) => [String(i + 1), String(i + 1)]));
  const layer = find('probe-layer').value, wanted = `${run.id} ${reply.step} ${sentence} ${layer}`;
  if (wanted === probes.shown) return;
  const maps = await ask('probe', { run: run.id, sentence, layer });
  if (!maps.heads) return;
  Object.assign(probes, { heads: maps.heads, shown: wanted, head: Math.min(probes.head, maps.heads.length - 1) });
  drawThumbs();
  drawLarge();
}
