'use strict';

// Numbers and times as people read them, and elements of the page.
function numberText(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    const [digits, power] = value.toExponential(2).split('e');
    return `${Number(digits)}e${Number(power)}`;
  }
  return String(Number(value.toPrecision(4)) + 0);  // no -0
}

// Of an axis: a power of ten as one, where its zeros would have to be counted.
function tickText(value) {
  const power = Math.log10(Math.abs(value));
  if (!Number.isInteger(Math.round(power * 1e9) / 1e9) || Math.abs(power) < 3.5) return numberText(value);
  return `10${[...String(Math.round(power))].map((c) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[c] ?? '⁻').join('')}`;
}

const stepText = (step) => (step + 0).toLocaleString('en-GB');

function durationText(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 3600) return `${Math.round(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole % 86400 / 3600)} h`;
}

function rateText(rate) {
  if (!(rate > 0)) return '';
  return rate >= 1 ? `${numberText(Number(rate.toPrecision(3)))} steps/s` : `${durationText(1 / rate)} a step`;
}

const kNames = {
  loss: ['Loss', ''], gradient_norm: ['Gradient norm', ''], update_norm: ['Update norm', ''],
  entropy: ['Entropy', 'nats'], entropy_deviation: ['Deviation of the entropy', 'nats'],
  frobenius_norm: ['‖P‖ (Frobenius)', ''], logit_variance: ['Logit variance', ''],
  maximum: ['Largest weight', ''], first_key: ['Weight on the first key', ''], row_sum: ['Sum of a row', ''],
  skewness: ['Skewness of the logits', ''], dead_rows: ['Rows without weight', 'share'],
};
function nameOf(column) {
  const words = column.replaceAll('_', ' ');
  return kNames[column] ?? [words.charAt(0).toUpperCase() + words.slice(1), ''];
}

const find = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// The options of a choice; the chosen one stays where it is still among them.
function offer(select, options) {
  const wanted = JSON.stringify(options);
  if (select.dataset.options === wanted) return;
  const before = select.value;
  select.dataset.options = wanted;
  select.replaceChildren(...options.map(([value, words]) => make('option', { value, textContent: words })));
  if (options.some(([value]) => value === before)) select.value = before;
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A canvas as large as its place, drawn in CSS pixels.
function prepared(canvas, width, height) {
  const dots = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * dots);
  canvas.height = Math.round(height * dots);
  canvas.style.height = `${height}px`;
  const paint = canvas.getContext('2d');
  paint.setTransform(dots, 0, 0, dots, 0, 0);
  paint.clearRect(0, 0, width, height);
  return paint;
}

// The report's colours of maps (viridis), at a share of 0 to 1.
const kRamp = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121],
  [110, 206, 88], [181, 222, 43], [253, 231, 37]];
function rampColour(share) {
  const at = Math.min(1, Math.max(0, share)) * (kRamp.length - 1);
  const below = Math.min(kRamp.length - 2, Math.floor(at));
  return kRamp[below].map((part, i) => Math.round(part + (at - below) * (kRamp[below + 1][i] - part)));
}
