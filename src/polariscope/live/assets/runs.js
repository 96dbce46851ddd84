// The list of runs: which are drawn, in which colour, and how each is doing.
const kMostSelected = 8, kMostListed = 60;

function stateText(run, now) {
  const silent = run.written > 0 ? now - run.written : 0;
  if (run.phase !== 'running') return run.phase;
  if (run.step === null) return 'starting';
  const usual = run.rate > 0 ? 10 / run.rate : 0;
  return silent > Math.max(15, usual) ? `no new line for ${durationText(silent)}` : 'running';
}

function stateKind(run, now) {
  if (run.phase === 'running') return stateText(run, now).startsWith('no new') ? 'quiet' : 'running';
  return { finished: 'finished', diverged: 'bad', 'stopped by an alarm': 'bad' }[run.phase] ?? 'quiet';
}

// What is said of a run: the settings in which the runs differ, also in charts where they are few, beside its name.
function nameRuns(runs, configs) {
  const values = new Map();
  for (const run of runs) {
    for (const [key, value] of Object.entries(configs[run.id] ?? {})) {
      if (!values.has(key)) values.set(key, new Set());
      values.get(key).add(value);
    }
  }
  const kMost = 5, kFirst = ['task', 'attention'];
  const differing = [...values].filter(([, set]) => set.size > 1).map(([key]) => key)
    .sort((a, b) => kFirst.includes(b) - kFirst.includes(a));
  for (const run of runs) {
    const config = configs[run.id] ?? {};
    const words = (key) => (kFirst.includes(key) ? config[key] : `${key} ${config[key]}`);
    const said = differing.filter((key) => key in config).map(words), more = said.length > kMost ? ', …' : '';
    const usual = [...kFirst, 'optimiser'].filter((key) => key in config).map((key) => config[key]);
    run.about = said.length > 0 ? said.slice(0, kMost).join(', ') + more : usual.join(', ');
    run.settings = said.join(' ');
    const last = run.name.split('/').pop(), kShort = 36;
    const isTold = said.length > 0 && run.about.length <= kShort && !last.includes(run.about);
    run.label = isTold ? `${last} (${run.about})` : run.name;
  }
}

function matches(run, words) {
  const text = `${run.name} ${run.settings} ${run.about} ${run.phase}`.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function freeColour() {
  const taken = new Set(state.selected.map((run) => run.colour));
  return state.colours.runs.find((colour) => !taken.has(colour)) ?? state.colours.runs[0];
}

function select(run, wanted) {
  if (wanted && state.selected.length < kMostSelected && !state.selected.includes(run)) {
    run.colour = freeColour();
    state.selected.push(run);
  } else if (!wanted) {
    state.selected = state.selected.filter((other) => other !== run);
    state.curves.delete(run.id);
  }
}

function rowOf(run) {
  const box = make('input', { type: 'checkbox' });
  box.addEventListener('change', () => {
    select(run, box.checked);
    remember();
    showRuns();
    pollSoon();
  });
  const part = (className) => make('span', { className });
  const parts = {
    box, name: make('b'), about: part('about'), phase: part('phase'), bar: make('progress', { max: 1 }), steps: part('steps'),
    rate: part('rate'), loss: part('loss'), alarms: part('alarms'), note: make('p', { className: 'note' }),
  };
  const label = make('label', {}, box, make('span', { className: 'who' }, parts.name, parts.about));
  const way = make('span', { className: 'way' }, parts.bar, parts.steps);
  const row = make('li', {}, label, parts.phase, way, parts.rate, parts.loss, parts.alarms, parts.note);
  return Object.assign(row, { parts });
}

function fillRow(row, run, now) {
  const { parts } = row, drawn = state.selected.includes(run);
  parts.box.checked = drawn;
  parts.box.disabled = !drawn && state.selected.length >= kMostSelected;
  parts.box.setAttribute('aria-label', `draw ${run.name}`);
  parts.box.style.accentColor = drawn ? run.colour : '';
  row.style.setProperty('--run', drawn ? run.colour : 'transparent');
  parts.name.textContent = run.name;
  parts.about.textContent = run.about;
  parts.phase.textContent = stateText(run, now);
  parts.phase.dataset.kind = stateKind(run, now);
  parts.bar.hidden = !(run.planned > 0);
  parts.bar.value = run.planned > 0 ? Math.min(1, (run.step ?? 0) / run.planned) : 0;
  parts.bar.setAttribute('aria-label', 'steps taken');
  const planned = run.planned > 0 ? ` of ${stepText(run.planned)}` : ' steps';
  parts.steps.textContent = run.step === null ? '' : stepText(run.step) + planned;
  const goes = run.phase === 'running' && run.rate > 0;
  const left = goes && run.planned > run.step ? ` · ${durationText((run.planned - run.step) / run.rate)} left` : '';
  parts.rate.textContent = goes ? rateText(run.rate) + left : '';
  parts.loss.textContent = run.step === null ? '' : `loss ${numberText(run.loss)}`;
  const counted = (count, what) => (count > 0 ? [`${count} ${what}${count === 1 ? '' : 's'}`] : []);
  parts.alarms.textContent = [...counted(run.alarms, 'alarm'), ...counted(run.rescues, 'rescue')].join(', ');
  parts.note.textContent = run.note;
  parts.note.hidden = !run.note;
}

const kNone = make('li', {
  className: 'empty', textContent: 'No run is here yet. One appears as soon as its training has begun.',
});
const rows = new Map();
function showRuns() {
  const words = find('filter').value.trim();
  find('runs').querySelector('.find').hidden = state.runs.length <= 6;
  const kept = state.runs.filter((run) => state.selected.includes(run) || !words || matches(run, words));
  const drawnFirst = (run) => (state.selected.includes(run) ? 0 : run.phase === 'running' ? 1 : 2);
  const order = state.runs.length <= 6 ? kept : [...kept].sort((a, b) => drawnFirst(a) - drawnFirst(b));
  const listed = order.slice(0, kMostListed);
  const all = state.runs.length;
  find('shown').textContent = listed.length < all ? `${listed.length} of ${stepText(all)} runs` : '';
  const wanted = listed.map((run) => {
    if (!rows.has(run.id)) rows.set(run.id, rowOf(run));
    fillRow(rows.get(run.id), run, state.now);
    return rows.get(run.id);
  });
  const list = find('run-list');
  if (all === 0) wanted.push(kNone);
  const isShown = wanted.length === list.children.length && wanted.every((row, i) => row === list.children[i]);
  if (!isShown) list.replaceChildren(...wanted);
}

// The drawn runs stand in the address, so that a page that is loaded again shows the same.
function remember() {
  history.replaceState(null, '', `#${state.selected.map((run) => run.id).join(',')}`);
}

// At first: those that the address names, or the running ones, or the last ones.
function selectAtFirst() {
  const named = location.hash.slice(1).split(',').map((id) => state.runs.find((run) => run.id === id)).filter(Boolean);
  const running = state.runs.filter((run) => run.phase === 'running');
  const kFew = 5, some = state.runs.length > kFew && running.length > 0 ? running : state.runs;
  for (const run of (named.length > 0 ? named : some).slice(0, kFew)) select(run, true);
}

async function updateRuns() {
  const reply = await ask('runs');
  state.now = reply.now;
  const known = new Map(state.runs.map((run) => [run.id, run]));
  const fresh = reply.runs.some((run) => !known.has(run.id)) || !state.configs
    || reply.runs.some((run) => run.step !== null && known.get(run.id)?.step === null);
  state.runs = reply.runs.map((run) => Object.assign(known.get(run.id) ?? {}, run));
  if (fresh) {
    state.configs = await ask('configs');
    nameRuns(state.runs, state.configs);
  }
  if (!state.begun && state.runs.length > 0) {
    state.begun = true;
    selectAtFirst();
  }
}
