// HAProxy's way to write times, which settings and annotations share (Route semantics 4, conventions).

/** HAProxy's largest time, about 24.8 days; also the longest delay that a Node timer takes. */
export const MAX_TIME_MS = 2_147_483_647;

const unitMs: Readonly<Record<string, number>> = { us: 1e-3, ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };

/**
 * Milliseconds of HAProxy's time pattern, or undefined where the text does not follow it: a positive whole number without
 * leading zero and at most one unit, none meaning ms. Clipped to MAX_TIME_MS; parts of a millisecond round up, so that no
 * time becomes 0 (Route semantics 4, cases N1 to N12 in 8.12).
 */
export function timeMs(text: string): number | undefined {
  const [, count, unit = 'ms'] = /^([1-9]\d*)(us|ms|s|m|h|d)?$/.exec(text) ?? [];
  if (count === undefined) return undefined;
  return Math.min(Math.ceil(Number(count) * (unitMs[unit] ?? Number.NaN)), MAX_TIME_MS);
}
