// The settings of the access log, and what the table of settings cannot tell to be wrong with them.

import type { Config, SettingKey } from '../../config/schema.ts';
import { readCookieCapture, readHeaderCaptures } from './captures.ts';
import { readLogFormat } from './log-format.ts';
import { readSyslogAddress } from './syslog-address.ts';
import { facilities } from './syslog-facilities.ts';

/** The settings that the access log reads. */
export type AccessLogSettings = Pick<
  Config,
  | 'accessLogSample'
  | 'syslogAddress'
  | 'syslogFormat'
  | 'syslogFacility'
  | 'syslogLevel'
  | 'syslogMaxLength'
  | 'captureRequestHeaders'
  | 'captureResponseHeaders'
  | 'captureCookie'
>;

/** What is wrong with them; those without a value have their problem already and are passed over. */
export function accessLogProblems(
  values: Partial<AccessLogSettings>,
): readonly { readonly key: SettingKey; readonly because: string }[] {
  const problems: { key: SettingKey; because: string }[] = [];
  const { syslogAddress = '', syslogFormat = '' } = values;
  const target = syslogAddress === '' ? null : readSyslogAddress(syslogAddress);
  if (typeof target === 'string') problems.push({ key: 'syslogAddress', because: target });
  const { syslogFacility } = values;
  if (syslogFacility !== undefined && !facilities.includes(syslogFacility)) {
    problems.push({ key: 'syslogFacility', because: `is none of ${facilities.join(', ')}` });
  }
  const request = readHeaderCaptures(values.captureRequestHeaders ?? '');
  if (request.kind === 'problem') problems.push({ key: 'captureRequestHeaders', because: request.because });
  const response = readHeaderCaptures(values.captureResponseHeaders ?? '');
  if (response.kind === 'problem') problems.push({ key: 'captureResponseHeaders', because: response.because });
  const cookie = readCookieCapture(values.captureCookie ?? '');
  if (cookie.kind === 'problem') problems.push({ key: 'captureCookie', because: cookie.because });
  if (request.kind === 'problem' || response.kind === 'problem' || syslogFormat === '') return problems;
  const counts = { request: request.captures.length, response: response.captures.length };
  const format = readLogFormat(syslogFormat, counts, () => 0);
  if (format.kind === 'problem') problems.push({ key: 'syslogFormat', because: format.because });
  return problems;
}
