// What the server is asked for, and what is kept of its answers.
async function ask(what, query = {}) {
  const given = new URLSearchParams(query).toString();
  const reply = await fetch(`api/${what}${given ? `?${given}` : ''}`, { signal: AbortSignal.timeout(10000) });
  if (reply.status === 404) throw Object.assign(new Error(`${what} is not served`), { gone: true });
  if (!reply.ok) throw new Error(`${what}: ${reply.status}`);
  return reply.json();
}

// The curves of one run: only what is new travels.
class Curves {
  constructor(id) {
    this.id = id;
    this.numbers = [];
    this.heads = {};
    this.forget();
  }

  forget() {
    this.epoch = '0';
    this.width = 0;
    this.read = 0;
    this.first = [];
    this.last = [];
    this.columns = new Map();
    this.asked = new Set();
  }

  async update(wanted) {
    if (!wanted.every((column) => this.asked.has(column))) this.forget();
    // The last bucket may have grown: it comes again.
    const from = Math.max(0, this.first.length - 1);
    const columns = [...new Set([...this.asked, ...wanted])];
    const reply = await ask('series', {
      run: this.id, columns: columns.join(','), epoch: this.epoch, width: this.width, from,
    });
    if (reply.from === 0) this.forget();
    Object.assign(this, { epoch: reply.epoch, width: reply.width, read: reply.read, numbers: reply.numbers,
                          heads: reply.heads });
    this.asked = new Set(columns);
    this.first.splice(reply.from, Infinity, ...reply.first);
    this.last.splice(reply.from, Infinity, ...reply.last);
    for (const [column, curves] of Object.entries(reply.curves)) {
      // One that began after its run has to come whole.
      if (reply.from > 0 && !this.columns.has(column)) this.asked.delete(column);
      else this.keep(column, curves, reply.from);
    }
  }

  keep(column, fresh, from) {
    const kept = this.columns.get(column) ?? [];
    this.columns.set(column, kept);
    fresh.forEach((curve, i) => {
      kept[i] ??= { mean: [], low: [], high: [] };
      for (const part of ['mean', 'low', 'high']) kept[i][part].splice(from, Infinity, ...curve[part] ?? curve.mean);
    });
  }

  get steps() {
    return this.first.length > 0 ? this.last[this.last.length - 1] : 0;
  }
}
