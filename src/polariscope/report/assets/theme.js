'use strict';

// The page's colours, read from its style sheet, so that a figure and the text around it agree.
function paperColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return { paper: read('--paper'), ink: read('--ink'), muted: read('--muted'), line: read('--line') };
}

// Vega's configuration for charts, and their legend, of the given widths in pixels. Specifications name no text, axis
// or paper colour of their own: all of them come from here, and change with the reader's theme.
function chartConfig(colours, width, legendWidth, longest) {
  const font = getComputedStyle(document.body).fontFamily;
  const text = { font, fontSize: 12, color: colours.ink };
  const name = { ...text, fontSize: 11.5, fontStyle: 'italic', limit: Math.max(100, width - 80) };
  return {
    background: colours.paper,
    font,
    aria: false, // the figure's own element carries its description
    padding: 2,
    view: { stroke: null },
    axis: {
      labelColor: colours.muted, titleColor: colours.ink, labelFontSize: 11.5, titleFontSize: 12.5,
      titleFontWeight: 'normal', titlePadding: 8, labelPadding: 5, domainColor: colours.muted, domainWidth: 0.8,
      tickColor: colours.muted, tickWidth: 0.8, tickSize: 4, gridColor: colours.line, gridWidth: 0.8,
      labelLimit: 140, labelSeparation: 5, titleLimit: Math.max(180, width - 60),
    },
    axisX: { grid: false },
    axisY: { titleLimit: 280 },
    legend: {
      labelColor: colours.ink, titleColor: colours.muted, labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: 'normal', labelLimit: Math.max(60, legendWidth - 60), offset: 10, rowPadding: 4, columnPadding: 18,
      symbolSize: 90, symbolOpacity: 1, gradientStrokeColor: null,
      columns: legendColumns(legendWidth, longest),
    },
    title: {
      color: colours.ink, fontSize: 13, fontWeight: 600, anchor: 'start', offset: 10, limit: width,
      subtitleColor: colours.muted,
    },
    header: { labelColor: colours.ink, titleColor: colours.ink },
    line: { strokeCap: 'round', strokeJoin: 'round' },
    text,
    style: {
      reference: { color: colours.muted, strokeWidth: 1.2 },
      // Beneath the name, so that it can be read where lines cross it.
      'reference-halo': {
        ...name, color: colours.paper, stroke: colours.paper, strokeWidth: 3, strokeJoin: 'round',
      },
      'reference-label': { ...name, color: colours.muted },
      'winner-label': { ...text, fontSize: 12.5, fontWeight: 600 },
      'cell-value': { stroke: colours.paper, strokeWidth: 0.6 },
      missing: { color: colours.muted },
    },
  };
}

// A printout is light whatever the screen was, and nothing can be drawn anew between the wish to
// print and the printing: the few theme colours are swapped in the drawing itself, and back again.
function swapColours(svg, from, to) {
  const table = new Map(Object.keys(from).map((name) => [from[name], to[name]]));
  for (const name of ['fill', 'stroke']) {
    for (const element of svg.querySelectorAll(`[${name}]`)) {
      const colour = table.get(element.getAttribute(name));
      if (colour) element.setAttribute(name, colour);
    }
  }
}
