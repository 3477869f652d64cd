// Settings of the access log that no table of settings can check: every one that is wrong ends the start.

import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { accessLogProblems } from '../../../src/proxy/access-log/access-log-settings.ts';
import { readSyslogAddress } from '../../../src/proxy/access-log/syslog-address.ts';
import { facilities } from '../../../src/proxy/access-log/syslog-facilities.ts';

const inPod = { KUBERNETES_SERVICE_HOST: '10.0.0.1' };

function problemsOf(environment: Readonly<Record<string, string>>): readonly string[] {
  const loaded = loadConfig([], { ...inPod, ...environment }, [accessLogProblems]);
  return loaded.kind === 'problems' ? loaded.problems : [];
}

describe('addresses', () => {
  test.each([
    ['192.0.2.1:5514', { kind: 'udp', host: '192.0.2.1', port: 5514 }],
    ['syslog.logging.svc:514', { kind: 'udp', host: 'syslog.logging.svc', port: 514 }],
    ['syslog', { kind: 'udp', host: 'syslog', port: 514 }],
    ['[2001:db8::1]:10514', { kind: 'udp', host: '2001:db8::1', port: 10_514 }],
    ['tcp://192.0.2.1:601', { kind: 'tcp', host: '192.0.2.1', port: 601 }],
    ['tcp://[::1]', { kind: 'tcp', host: '::1', port: 514 }],
    ['/var/lib/rsyslog/rsyslog.sock', { kind: 'unix', path: '/var/lib/rsyslog/rsyslog.sock' }],
  ])('%s', (text, target) => {
    expect(readSyslogAddress(text)).toEqual(target);
  });

  test.each(['2001:db8::1', 'a b:1', ':514', 'http://a:1', 'a:', 'a:0', 'a:65536', 'a:x', `/${'a'.repeat(107)}`])(
    '%s is refused',
    (text) => {
      expect(typeof readSyslogAddress(text)).toBe('string');
    },
  );
});

test('what is right has no problems', () => {
  expect(
    problemsOf({
      ROUTER_SYSLOG_ADDRESS: '/var/lib/rsyslog/rsyslog.sock',
      ROUTER_SYSLOG_FORMAT: '"%ci:%cp [%tr] %[capture.req.hdr(0)] %{+Q}r"',
      ROUTER_LOG_FACILITY: 'local7',
      ROUTER_LOG_LEVEL: 'info',
      ROUTER_LOG_MAX_LENGTH: '4096',
      ROUTER_CAPTURE_HTTP_REQUEST_HEADERS: 'Host:60',
      ROUTER_CAPTURE_HTTP_RESPONSE_HEADERS: 'Content-Type:60',
      ROUTER_CAPTURE_HTTP_COOKIE: 'sess=:64',
      ROUTER_DONT_LOG_NULL: 'true',
      ROUTER_HTTP_IGNORE_PROBES: 'true',
    }),
  ).toEqual([]);
});

test.each([
  ['ROUTER_SYSLOG_ADDRESS', '2001:db8::1', 'is neither host:port (UDP), tcp://host:port nor the path of a UNIX socket'],
  ['ROUTER_SYSLOG_FORMAT', '"%ci %zz"', '%zz: no variable of this router; a percent sign is written %%'],
  ['ROUTER_SYSLOG_FORMAT', '%[capture.req.hdr(0)]', '%[capture.req.hdr(0)]: 0 request headers are captured'],
  ['ROUTER_LOG_FACILITY', 'local8', 'is none of kern, user'],
  ['ROUTER_LOG_LEVEL', 'warn', '"warn" is not one of emerg'],
  ['ROUTER_LOG_MAX_LENGTH', '79', '"79" is not a number of bytes (80 to 65535)'],
  ['ROUTER_CAPTURE_HTTP_REQUEST_HEADERS', 'Host', 'invalid HTTP header capture specification: Host'],
  ['ROUTER_CAPTURE_HTTP_RESPONSE_HEADERS', 'a b:1', 'invalid HTTP header name: a b'],
  ['ROUTER_CAPTURE_HTTP_COOKIE', 'sess', 'invalid HTTP cookie capture specification: sess'],
])('%s=%s', (name, text, because) => {
  expect(problemsOf({ [name]: text })).toEqual([expect.stringContaining(`${name}: ${because}`)]);
});

test('facilities have their numbers', () => {
  const numbers = ['kern', 'daemon', 'cron2', 'local0', 'local1', 'local7'].map((name) => facilities.indexOf(name));
  expect(numbers).toEqual([0, 3, 15, 16, 17, 23]);
});
