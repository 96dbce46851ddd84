// How large what is drawn gets: known of a figure before it is drawn, in pixels.
const kAxis = 66; // what a vertical axis takes with its title
const kPanelGap = 18;

const chartsOf = (spec) => spec.concat ?? [spec];
const layersOf = (chart) => chart.layer ?? [chart];
const sharesLegend = (spec) => spec.resolve?.scale?.color === 'shared';

// As many panels in a row as stay readable, never more than the specification says.
function panelColumns(spec, width) {
  const smallest = 240;
  return Math.max(1, Math.min(spec.columns, Math.floor(width / smallest)));
}

function panelWidth(width, columns) {
  return Math.max(120, Math.floor((width - (columns - 1) * kPanelGap) / columns) - kAxis);
}

// Returns the width of a panel. `narrower`: by how much the row was too wide when it was drawn.
function fitPanels(spec, width, narrower) {
  const columns = panelColumns(spec, width);
  const panel = panelWidth(width - narrower, columns);
  spec.columns = columns;
  spec.spacing = kPanelGap;
  for (const child of spec.concat) {
    if (hasSquareCells(child)) fitSquares(child, panel);
    else child.width = panel;
  }
  return panel;
}

// A map of square cells states the size of one.
function hasSquareCells(chart) {
  return chart.width?.step !== undefined;
}

function squareSize(chart, room) {
  const columns = chart.layer[0].encoding.x.scale.domain.length;
  return Math.max(1, Math.min(chart.width.step, Math.floor(room / columns)));
}

function fitSquares(chart, room) {
  const step = squareSize(chart, room);
  chart.width = { step };
  chart.height = { step };
}

// In characters, of the names in the legend: it decides how many stand in a row.
function longestName(spec) {
  let longest = 0;
  for (const chart of chartsOf(spec)) {
    for (const layer of layersOf(chart)) {
      for (const name of layer.encoding?.color?.scale?.domain ?? []) longest = Math.max(longest, String(name).length);
    }
  }
  return longest;
}

function legendColumns(width, longest) {
  return Math.max(1, Math.floor(width / (48 + 7 * longest)));
}

// With its distance from the plot; 0 where there is none.
function legendHeight(chart, width, longest) {
  const strip = 15, ramp = 41, line = 16;
  for (const layer of layersOf(chart)) {
    const legend = layer.encoding?.color?.legend;
    if (!legend) continue;
    const offset = legend.offset ?? 10;
    if (legend.gradientThickness) return offset + ramp;
    if (legend.symbolType === 'square') return offset + strip;
    return offset + line * Math.ceil(layer.encoding.color.scale.domain.length / legendColumns(width, longest)) - 2;
  }
  return 0;
}

// Names that stand above the plot: at upright lines, and at a level one that is the plot's upper edge.
function overhang(chart) {
  const text = 16, levelText = 10; // beyond the half of a number that stands there anyway
  let above = 0;
  for (const layer of layersOf(chart)) {
    if (layer.mark?.style !== 'reference-label') continue;
    if (layer.encoding.y.value === 0) above = Math.max(above, text - layer.mark.dy);
    else if (layer.data.values.some(({ at }) => at >= 0.98 * highest(chart))) above = Math.max(above, levelText);
  }
  return above;
}

// The upper end of a chart's vertical axis.
function highest(chart) {
  const domains = layersOf(chart).map((layer) => layer.encoding?.y?.scale?.domain).filter(Array.isArray);
  return Math.max(...domains.map((domain) => domain[1]));
}

// Of words below the plot at this angle; Vega cuts them at 180 pixels.
function slantedHeight(words, degrees) {
  const longest = Math.max(...words.map((word) => word.length));
  return Math.min(180, 5.6 * longest) * Math.sin(degrees * Math.PI / 180) + 8;
}

// What stands below the plot, and the half of a number that stands above it.
function axisHeight(chart) {
  const { x, y } = layersOf(chart)[0].encoding ?? {};
  if (x?.axis?.labelAngle) return 25 + slantedHeight(x.scale.domain, -x.axis.labelAngle);
  return y?.type === 'ordinal' ? 35 : 44;
}

function plotHeight(chart, room) {
  if (typeof chart.height === 'number') return chart.height;
  return squareSize(chart, room) * chart.layer[0].encoding.y.scale.domain.length;
}

// Of a figure in a place of this width, within a line of text or two: fonts decide the rest.
function drawnHeight(spec, width) {
  const charts = chartsOf(spec), longest = longestName(spec);
  const aboveAll = 6, title = 26, subtitle = 21;
  if (!spec.concat) {
    const above = Math.max(legendHeight(spec, width, longest), overhang(spec), aboveAll);
    return plotHeight(spec, width - kAxis) + axisHeight(spec) + above + (spec.title ? subtitle : 0);
  }
  const columns = panelColumns(spec, width), panel = panelWidth(width, columns);
  let total = sharesLegend(spec) ? legendHeight(charts[0], width, longest) : aboveAll;
  for (let first = 0; first < charts.length; first += columns) {
    const heights = charts.slice(first, first + columns).map((chart) =>
      plotHeight(chart, panel) + axisHeight(chart) +
      Math.max(sharesLegend(spec) ? 0 : legendHeight(chart, panel, longest), overhang(chart)));
    total += Math.max(...heights) + title + (first > 0 ? kPanelGap : 0);
  }
  return total;
}
