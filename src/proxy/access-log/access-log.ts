// The access log: one line a request, tunnel or connection, for the sampled share of them, as JSON on standard output, in
// HAProxy's words to a syslog server, or both. Off unless asked for.

import { hostname } from 'node:os';
import { createBulkLog, type Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type AccessLine, jsonFields } from './access-line.ts';
import type { AccessLogSettings } from './access-log-settings.ts';
import { Captures } from './captures.ts';
import { syslogDate } from './log-dates.ts';
import { httpFormat, type LogFormat, readLogFormat, tcpFormat } from './log-format.ts';
import type { OpenConnections } from './log-variables.ts';
import { readSyslogAddress } from './syslog-address.ts';
import { facilities } from './syslog-facilities.ts';
import { SyslogOutput } from './syslog-output.ts';

/** Levels of syslog at which lines of requests are told, which are `info`. */
const tellingLevels: readonly string[] = ['info', 'debug'];
const info = 6;

export class AccessLog {
  /** What of requests and responses is kept; null: nothing. */
  readonly captures: Captures | null;
  readonly #sample: number;
  readonly #json: Log | null;
  readonly #syslog: SyslogLines | null;
  #credit = 0;
  #lines = 0;

  /** `sample`: share of the lines to write, 0 to 1. */
  constructor(sample: number, captures: Captures | null, json: Log | null, syslog: SyslogLines | null) {
    this.#sample = sample;
    this.captures = captures;
    this.#json = json;
    this.#syslog = syslog;
  }

  /** That which the settings ask for; null where they ask for none. `worker`: its number. */
  static of(
    settings: AccessLogSettings,
    metrics: Metrics,
    log: Log,
    worker: number,
    open: OpenConnections,
  ): AccessLog | null {
    const { accessLogSample } = settings;
    const captures = Captures.of(settings);
    const syslog = SyslogLines.of(settings, captures, metrics, log, open);
    if (accessLogSample === 0 && syslog === null) return null;
    const dropped = metrics.series('headgate_log_lines_dropped_total', 'access');
    const json =
      accessLogSample === 0
        ? null
        : createBulkLog({ log: 'access', worker }, () => {
            dropped.value++;
          });
    return new AccessLog(accessLogSample === 0 ? 1 : accessLogSample, captures, json, syslog);
  }

  /** Whether the next line is among those to be written: exact over time, and cheap. */
  sampled(): boolean {
    this.#lines++;
    this.#credit += this.#sample;
    if (this.#credit < 1) return false;
    this.#credit -= 1;
    return true;
  }

  /** How many lines there would be without sampling, this one included. */
  get serial(): number {
    return this.#lines;
  }

  write(line: AccessLine): void {
    this.#json?.info(jsonFields(line, this.captures), 'access');
    this.#syslog?.write(line);
  }

  /** Lets what waits for a syslog server leave. */
  async close(): Promise<void> {
    await this.#syslog?.close();
  }
}

/** Lines as a syslog server gets them from HAProxy (RFC 3164, with the name of the host). */
export class SyslogLines {
  readonly #output: SyslogOutput;
  readonly #http: LogFormat;
  readonly #tcp: LogFormat;
  readonly #maxLength: number;
  readonly #priority: string;
  readonly #origin: string = ` ${hostname()} headgate[${process.pid}]: `;
  #second = -1;
  #header = '';

  private constructor(output: SyslogOutput, http: LogFormat, tcp: LogFormat, settings: AccessLogSettings) {
    this.#output = output;
    this.#http = http;
    this.#tcp = tcp;
    this.#maxLength = settings.syslogMaxLength;
    this.#priority = `<${facilities.indexOf(settings.syslogFacility) * 8 + info}>`;
  }

  /** Those that the settings, which have been checked, ask for; null where they ask for none. */
  static of(
    settings: AccessLogSettings,
    captures: Captures | null,
    metrics: Metrics,
    log: Log,
    open: OpenConnections,
  ): SyslogLines | null {
    if (settings.syslogAddress === '' || !tellingLevels.includes(settings.syslogLevel)) return null;
    const counts = {
      request: captures?.requestHeaders.length ?? 0,
      response: captures?.responseHeaders.length ?? 0,
    };
    const { syslogFormat } = settings;
    const http = readLogFormat(syslogFormat === '' ? httpFormat : syslogFormat, counts, open);
    const tcp = readLogFormat(syslogFormat === '' ? tcpFormat : syslogFormat, counts, open);
    const target = readSyslogAddress(settings.syslogAddress);
    if (http.kind === 'problem' || tcp.kind === 'problem' || typeof target === 'string') return null;
    const dropped = metrics.series('headgate_log_lines_dropped_total', 'syslog');
    const output = new SyslogOutput(target, log, (lines) => {
      dropped.value += lines;
    });
    return new SyslogLines(output, http.format, tcp.format, settings);
  }

  write(line: AccessLine): void {
    const format = line.scheme === 'tls' ? this.#tcp : this.#http;
    const text = this.#headerNow() + format.render(line);
    // The end of line counts.
    const fits = text.length < this.#maxLength ? text : text.slice(0, this.#maxLength - 1);
    this.#output.write(Buffer.from(`${fits}\n`, 'latin1'));
  }

  async close(): Promise<void> {
    await this.#output.close();
  }

  #headerNow(): string {
    const nowMs = Date.now();
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#header = this.#priority + syslogDate(nowMs) + this.#origin;
    }
    return this.#header;
  }
}
