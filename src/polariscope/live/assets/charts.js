// Which charts there are, and of which curves.
const kCharts = [
  { column: 'loss' },
  { column: 'gradient_norm', log: true },
  { column: 'entropy', fromZero: true },
  { column: 'frobenius_norm', fromZero: true },
  { column: 'logit_variance', log: true },
];
const state = {
  runs: [], selected: [], curves: new Map(), alarms: new Map(),
  colours: { runs: ['#2f74d0'], layers: ['#2f74d0'] },
};
const charts = [];

const layerChosen = () => Number(find('layer').value || 0);  // 0: all
const loaded = () => state.selected.map((run) => ({ run, curves: state.curves.get(run.id) })).filter(({ curves }) => curves);

// Evenly over the report's ramp.
function rampOf(count, i) {
  const ramp = state.colours.layers;
  return ramp[Math.round(count > 1 ? i * (ramp.length - 1) / (count - 1) : 0)];
}

// What has to be asked for, for all charts to be drawn.
function columnsWanted(curves) {
  const columns = charts.map((chart) => chart.column).filter(Boolean);
  const layer = layerChosen();
  if (layer === 0 || state.selected.length !== 1) return columns;
  return [...columns, ...columns.filter((column) => curves.heads[column]?.[layer - 1]).map((column) => `${column}:${layer}`)];
}

function lineOf(curves, curve, rest) {
  return { curve, first: curves.first, last: curves.last, ...rest };
}

// One run: a line a layer, or a head of the layer that was chosen. Several: each in its colour.
function linesOf(column) {
  const runs = loaded(), layer = layerChosen(), alone = runs.length === 1;
  return runs.flatMap(({ run, curves }) => {
    const all = curves.columns.get(column) ?? [];
    if (!curves.heads[column]) {
      return all.map((curve) => lineOf(curves, curve, { label: run.label, colour: run.colour }));
    }
    if (alone && layer > 0) {
      const heads = curves.columns.get(`${column}:${layer}`) ?? [];
      return heads.map((curve, i) => lineOf(curves, curve, { label: `head ${i + 1}`, colour: rampOf(heads.length, i) }));
    }
    if (alone) {
      return all.map((curve, i) => lineOf(curves, curve, {
        label: `layer ${i + 1}`, colour: all.length > 1 ? rampOf(all.length, i) : run.colour,
      }));
    }
    const chosen = layer > 0 ? all.slice(layer - 1, layer) : all;
    return chosen.map((curve, i) => lineOf(curves, curve, {
      label: layer > 0 || all.length === 1 ? run.label : `${run.label}, layer ${i + 1}`, colour: run.colour,
      alpha: chosen.length > 1 ? 0.45 + 0.55 * i / (chosen.length - 1) : 1, width: chosen.length > 2 ? 1.2 : 1.7,
    }));
  });
}

const kMostMarks = 60;
// A rescue's is where the curve has another course: the steps behind it were taken again.
function marks() {
  const alone = state.selected.length === 1;
  const colourOf = (run, isRescue) => (alone ? style(isRescue ? '--holds' : '--fails') : run.colour);
  return state.selected.flatMap((run) => (state.alarms.get(run.id)?.alarms ?? []).slice(0, kMostMarks)
    .map(({ step, back_to: back }) => ({ step: back ?? step, colour: colourOf(run, back !== undefined) })));
}

// The names of a chart's lines: the runs' own stand in their list.
function legendOf(lines, statistic) {
  const alone = state.selected.length === 1;
  if (!statistic || !alone || lines.length === 0) return [];
  const most = 4, shown = lines.length <= most ? lines : [lines[0], lines[lines.length - 1]];
  return shown.map((line, i) => {
    const swatch = make('i');
    swatch.style.background = line.colour;
    return make('span', {}, swatch, i === 1 && lines.length > most ? `… ${line.label}` : line.label);
  });
}

function addChart(options) {
  const scale = make('button', { type: 'button', textContent: 'log', title: 'logarithmic scale' });
  const heading = make('h2'), legend = make('span', { className: 'legend' });
  const caption = make('figcaption', {}, heading, legend, scale);
  const canvas = make('canvas');
  canvas.setAttribute('role', 'img');
  const figure = make('figure', { className: 'chart' }, caption, canvas, make('p', { className: 'tip', hidden: true }));
  find('charts').append(figure);
  const chart = new Chart(figure, options);
  Object.assign(chart, { heading, legend, scale });
  const press = () => scale.setAttribute('aria-pressed', String(chart.log));
  scale.addEventListener('click', () => {
    chart.log = !chart.log;
    press();
    chart.draw();
  });
  press();
  charts.push(chart);
  return chart;
}

// The last chart is of whatever else a log holds.
function addChoice() {
  const chart = addChart({ column: '', fromZero: true });
  const choice = make('select');
  choice.setAttribute('aria-label', 'Another number of the log');
  choice.addEventListener('change', () => {
    chart.column = choice.value;
    pollSoon();
  });
  chart.heading.replaceWith(choice);
  Object.assign(chart, { heading: null, choice });
}

function offerOthers() {
  const shown = new Set(kCharts.map((chart) => chart.column)), others = new Set();
  for (const { curves } of loaded()) {
    for (const column of [...Object.keys(curves.heads), ...curves.numbers]) if (!shown.has(column)) others.add(column);
  }
  // What tells of sinks comes first.
  const kFirst = ['first_key', 'maximum', 'update_norm'];
  const place = (column) => (kFirst.includes(column) ? kFirst.indexOf(column) : kFirst.length);
  const chart = charts[charts.length - 1];
  offer(chart.choice, [...others].sort((a, b) => place(a) - place(b)).map((column) => [column, nameOf(column)[0]]));
  chart.figure.hidden = others.size === 0;
  chart.column = chart.choice.value;
}

function offerLayers() {
  const heads = loaded().flatMap(({ curves }) => Object.values(curves.heads));
  const layers = Math.max(0, ...heads.map((counts) => counts.length));
  const alone = state.selected.length === 1;
  const one = (_, i) => [String(i + 1), alone ? `${i + 1}, its heads` : String(i + 1)];
  offer(find('layer'), [['0', 'all'], ...Array.from({ length: layers }, one)]);
}

function showCharts() {
  const begun = loaded().some(({ curves }) => curves.first.length > 0);
  for (const chart of charts) {
    const [name, unit] = nameOf(chart.column), lines = linesOf(chart.column);
    const statistic = loaded().some(({ curves }) => curves.heads[chart.column]);
    if (chart.heading) chart.heading.textContent = name;
    const units = unit ? [make('span', { className: 'quiet', textContent: unit })] : [];
    chart.legend.replaceChildren(...units, ...legendOf(lines, statistic));
    chart.show(lines, marks(), begun ? 'not in this log' : 'waiting for the first step');
    const last = lines.map((line) => `${line.label} ${numberText(line.curve.mean[line.curve.mean.length - 1])}`);
    chart.canvas.setAttribute('aria-label', `${name} over the steps, now: ${last.slice(0, 12).join(', ') || 'nothing yet'}`);
  }
}

let drawing = false;
function redrawAll() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    for (const chart of charts) chart.draw();
  });
}

function lookAt(from, to) {
  Object.assign(view, { from, to });
  find('whole').hidden = from === null;
  redrawAll();
}
