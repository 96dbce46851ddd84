// One figure of the page: its specification, its numbers, and the drawing once there is one.
class Figure {
  constructor(element) {
    this.element = element;
    this.plot = element.querySelector('.plot');
    this.stem = element.dataset.stem;
    this.state('waiting');
  }

  state(name) {
    this.element.dataset.state = name;
  }

  // Parsed when needed: a page of large tables opens at once.
  read(name) {
    return JSON.parse(this.element.querySelector(`script.${name}`).textContent);
  }

  // Keeps the place of the drawing, so that nothing moves when it comes.
  reserve(width) {
    this.width = width;
    this.plot.style.minHeight = `${drawnHeight(this.read('spec'), width)}px`;
  }

  async draw() {
    this.colours = paperColours();
    try {
      this.view = await this.embed(this.read('spec'), 0);
      this.state('drawn');
    } catch (error) {
      this.state('failed');
      this.plot.textContent = `This figure could not be drawn: ${error.message}`;
      console.error(this.stem, error);
    }
  }

  async embed(spec, narrower) {
    const fitted = spec.concat || hasSquareCells(spec);
    const width = spec.concat ? fitPanels(spec, this.width, narrower) : this.width;
    if (hasSquareCells(spec)) fitSquares(spec, this.width - narrower - kAxis);
    const legendWidth = sharesLegend(spec) ? this.width : width;
    for (const chart of chartsOf(spec)) fitStrip(chart, legendWidth - kAxis);
    const config = chartConfig(this.colours, width, legendWidth, longestName(spec));
    const fresh = document.createElement('div');
    fresh.className = 'drawing';
    if (this.view) this.view.finalize();
    this.plot.replaceChildren(fresh);
    const result = await vegaEmbed(fresh, spec, {
      mode: 'vega-lite', renderer: 'svg', config, actions: false, defaultStyle: false,
      ast: true, // expressions are interpreted: the page's security policy allows no code from text
      tooltip: { disableDefaultStyle: true },
    });
    // How wide axes and legends are is known only once they stand there.
    const excess = fresh.querySelector('svg').width.baseVal.value - this.width;
    if (fitted && excess > 0 && narrower === 0) {
      this.view = result.view;
      return this.embed(spec, Math.ceil(excess));
    }
    return result.view;
  }

  // Anew after a change of theme or width; nothing where nothing was drawn yet.
  async redraw() {
    if (this.element.dataset.state === 'drawn') await this.draw();
  }

  swap(to) {
    const svg = this.plot.querySelector('svg');
    if (svg) swapColours(svg, this.colours, to);
    this.colours = to;
  }

  async download(kind) {
    if (kind === 'CSV') return save(`${this.stem}.csv`, 'text/csv', csv(this.read('table')));
    if (kind === 'JSON') {
      return save(`${this.stem}.vl.json`, 'application/json', JSON.stringify(this.read('spec'), null, 2));
    }
    if (!this.view) await this.draw();
    if (kind === 'SVG') return save(`${this.stem}.svg`, 'image/svg+xml', await this.view.toSVG());
    return saveUrl(`${this.stem}.png`, await this.view.toImageURL('png', 2));
  }
}

// Of a strip of colours, from the largest to the smallest, as many as there is room for, both ends among them.
function fitStrip(chart, room) {
  const words = 200, step = 17;
  const most = Math.max(2, Math.floor((room - words) / step));
  for (const layer of chart.layer ?? []) {
    const legend = layer.encoding?.color?.legend;
    if (legend?.symbolType !== 'square' || legend.values.length <= most) continue;
    const last = legend.values.length - 1;
    legend.values = Array.from({ length: most }, (_, i) => legend.values[Math.round(i * last / (most - 1))]);
    legend.columns = most;
  }
}

// The cells of a column: as they stand, or unpacked from base 64 of little-endian doubles.
function cells(column) {
  if (column.values) return column.values;
  const bytes = Uint8Array.from(atob(column.float64), (c) => c.charCodeAt(0));
  return new Float64Array(bytes.buffer);
}

// RFC 4180, as Table::csv writes it.
function csv(table) {
  const field = (value) => {
    const text = typeof value === 'number' && !Number.isFinite(value)
      ? (Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf') : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const columns = table.columns.map(cells);
  const lines = columns.length ? [table.columns.map((column) => field(column.name)).join(',')] : [];
  const rows = columns.length ? columns[0].length : 0;
  for (let row = 0; row < rows; ++row) lines.push(columns.map((column) => field(column[row])).join(','));
  return lines.map((line) => `${line}\r\n`).join('');
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  saveUrl(name, url);
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

function saveUrl(name, url) {
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
}
