// When certificates expire, as text, a piece at a time.

import { metricDefinitions } from '../telemetry/metrics.ts';
import { escaped, headText } from './exposition.ts';

/** When a certificate expires that is served; the default one has no namespace. */
export type CertificateExpiry = { readonly namespace: string; readonly route: string; readonly notAfterMs: number };

/** The text, a line at a time; not more than `limit` certificates. */
export function* certificateMetrics(expiries: Iterable<CertificateExpiry>, limit: number): Generator<string> {
  const name = 'headgate_certificate_expiry_timestamp_seconds';
  let count = 0;
  for (const { namespace, route, notAfterMs } of expiries) {
    if (count++ === 0) yield headText(name, metricDefinitions[name].help, 'gauge');
    if (count > limit) return;
    yield `${name}{namespace="${escaped(namespace)}",route="${escaped(route)}"} ${Math.floor(notAfterMs / 1000)}\n`;
  }
}
