// A bar chart of ratios as SVG: one bar a scenario, a line at 1, a mark at each target. It has colours for light and for dark pages.

import type { Spread, Verdict } from './lines.ts';

export type Bar = {
  readonly label: string;
  readonly ratio: Spread;
  readonly verdict: Verdict | null;
  /** Dots beside the bar. */
  readonly others: readonly { readonly name: string; readonly ratio: number }[];
};

const LABEL_WIDTH = 170;
const PLOT_WIDTH = 520;
const VALUE_WIDTH = 50;
const HEAD_HEIGHT = 64;
const ROW_HEIGHT = 22;
const BAR_HEIGHT = 12;
const FOOT_HEIGHT = 28;
/** Longer bars are cut here; their value stands beside them. */
const MOST = 2;
const GRID: readonly number[] = [0, 0.5, 1, 1.5, 2];
const WIDTH = LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 14px }
  .grid { stroke: #d0d7de }
  .one { stroke: #24292f; stroke-width: 1.5 }
  .met { fill: #2da44e }
  .missed { fill: #d1742a }
  .plain { fill: #8c959f }
  .spread { stroke: #24292f }
  .target { stroke: #8250df; stroke-width: 3 }
  .haproxy-minimal { fill: none; stroke: #0969da; stroke-width: 1.5 }
  .nginx { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #d0d7de }
    .grid { stroke: #3d444d }
    .one, .spread { stroke: #d0d7de }
    .target { stroke: #b78cf7 }
    .haproxy-minimal { stroke: #58a6ff }
    .nginx { fill: #58a6ff }
  }
`;

/** The whole file. */
export function chart(bars: readonly Bar[]): string {
  const height = HEAD_HEIGHT + bars.length * ROW_HEIGHT + FOOT_HEIGHT;
  const bottom = height - FOOT_HEIGHT + 4;
  const upright = (kind: 'grid' | 'one', ratio: number): string =>
    `<line class="${kind}" x1="${x(ratio)}" y1="${HEAD_HEIGHT - 6}" x2="${x(ratio)}" y2="${bottom}"/>`;
  const scale = GRID.map(
    (ratio) => `${upright('grid', ratio)}<text x="${x(ratio)}" y="${bottom + 16}" text-anchor="middle">${ratio}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Headgate divided by HAProxy in the OpenShift router's shape, by scenario">
<style>${STYLE}</style>
<text class="title" x="0" y="16">CPU time of Headgate divided by HAProxy's in the OpenShift router's shape (latency: p99)</text>
${legend()}
${scale.join('\n')}
${bars.map((bar, row) => barAt(bar, HEAD_HEIGHT + row * ROW_HEIGHT)).join('\n')}
${upright('one', 1)}
</svg>
`;
}

function legend(): string {
  const y = 38;
  const swatch = (kind: string, at: number, text: string): string =>
    `<rect class="${kind}" x="${at}" y="${y - 9}" width="12" height="10"/><text x="${at + 17}" y="${y}">${text}</text>`;
  const dot = (name: string, at: number, text: string): string =>
    `<circle class="${name}" cx="${at}" cy="${y - 4}" r="4"/><text x="${at + 9}" y="${y}">${text}</text>`;
  return [
    swatch('met', 0, 'target met'),
    swatch('missed', 95, 'missed'),
    swatch('plain', 170, 'no target'),
    `<line class="target" x1="259" y1="${y - 11}" x2="259" y2="${y + 2}"/><text x="268" y="${y}">target</text>`,
    `<line class="spread" x1="318" y1="${y - 4}" x2="338" y2="${y - 4}"/><text x="343" y="${y}">quartiles</text>`,
    dot('haproxy-minimal', 414, 'HAProxy minimal'),
    dot('nginx', 545, 'nginx'),
  ].join('\n');
}

function barAt({ label, ratio, verdict, others }: Bar, top: number): string {
  const middle = top + ROW_HEIGHT / 2;
  const bar = middle - BAR_HEIGHT / 2;
  const kind = verdict === null ? 'plain' : verdict.isMet ? 'met' : 'missed';
  const parts = [
    `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${label}</text>`,
    `<rect class="${kind}" x="${x(0)}" y="${bar}" width="${round(x(ratio.median) - x(0))}" height="${BAR_HEIGHT}"/>`,
    `<line class="spread" x1="${x(ratio.lower)}" y1="${middle}" x2="${x(ratio.upper)}" y2="${middle}"/>`,
    ...others.map((other) => `<circle class="${other.name}" cx="${x(other.ratio)}" cy="${middle}" r="4"/>`),
    `<text x="${LABEL_WIDTH + PLOT_WIDTH + 10}" y="${middle + 4}">${ratio.median.toFixed(2)}</text>`,
  ];
  if (verdict !== null) {
    const at = x(verdict.below);
    parts.push(`<line class="target" x1="${at}" y1="${bar - 3}" x2="${at}" y2="${bar + BAR_HEIGHT + 3}"/>`);
  }
  return parts.join('\n');
}

/** Where a ratio stands. */
function x(ratio: number): number {
  return round(LABEL_WIDTH + (Math.min(ratio, MOST) / MOST) * PLOT_WIDTH);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
