import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SecretGate } from '../../src/controller/secret-gate.ts';
import { type ManifestEvent, type ManifestKey, manifestKey } from '../../src/source/manifests.ts';
import { aRoute, aService } from '../support/manifests.ts';

/** Routes by name and Secret, with a version in the path; all in namespace n. */
function route(name: string, secret: string, version: number): ManifestEvent {
  const built = aRoute(`n/${name}`).path(`/${version}`);
  const manifest = (secret === '' ? built : built.edge().externalCertificate(secret)).build();
  return { key: manifestKey(manifest), manifest };
}

const gone = (name: string): ManifestEvent => ({ key: `Route/n/${name}` as ManifestKey, manifest: undefined });
const secret = (name: string, text = ''): ManifestEvent => ({
  key: `Secret/n/${name}` as ManifestKey,
  manifest: { kind: 'Secret', namespace: 'n', name, type: 'kubernetes.io/tls', data: { text } },
});
const fault = (name: string): ManifestEvent => ({
  key: `Secret/n/${name}` as ManifestKey,
  manifest: { kind: 'SecretFault', namespace: 'n', name, denied: [], read: 'absent', message: '' },
});

/** What an event is, in few letters: `a/1 s` a Route with its version and Secret, `S:s` a Secret, `-` the end of it. */
function shown({ key, manifest }: ManifestEvent): string {
  const name = key.split('/')[2];
  const kind = key.startsWith('Secret/') ? 'S:' : '';
  if (manifest === undefined) return `-${kind}${name}`;
  if (manifest.kind !== 'Route') return `${kind}${name}`;
  return `${name}${manifest.path} ${manifest.tls?.externalCertificate ?? ''}`.trim();
}

describe('a Route waits for the Secret that it names (Route semantics 7.1, 8.18)', () => {
  /** What is put, what passes, and what is asked for (`?s`) or not wanted any more (`!s`). */
  type Step = readonly [event: ManifestEvent, passes: readonly string[], asked?: readonly string[]];
  const cases: readonly (readonly [name: string, steps: readonly Step[]])[] = [
    [
      'T6 no reference',
      [
        [route('a', '', 1), ['a/1']],
        [gone('a'), ['-a']],
      ],
    ],
    [
      'T5 held until the Secret is there',
      [
        [route('a', 's', 1), [], ['?s']],
        [secret('s'), ['S:s', 'a/1 s']],
        [secret('s'), ['S:s']],
        [route('a', 's', 2), ['a/2 s']],
        [gone('a'), ['-a', '-S:s'], ['!s']],
      ],
    ],
    [
      'T1 held until it is known that there is none',
      [
        [route('a', 's', 1), [], ['?s']],
        [fault('s'), ['S:s', 'a/1 s']],
      ],
    ],
    [
      'T29 several Routes share one',
      [
        [route('a', 's', 1), [], ['?s']],
        [route('b', 's', 1), []],
        [secret('s'), ['S:s', 'a/1 s', 'b/1 s']],
        [route('c', 's', 1), ['c/1 s']],
        [gone('a'), ['-a']],
        [gone('c'), ['-c']],
        [gone('b'), ['-b', '-S:s'], ['!s']],
      ],
    ],
    [
      'only the newest version passes',
      [
        [route('a', 's', 1), [], ['?s']],
        [route('a', 's', 2), []],
        [secret('s'), ['S:s', 'a/2 s']],
      ],
    ],
    [
      'T7 a reference is added: the old version stays until the Secret is there',
      [
        [route('a', '', 1), ['a/1']],
        [route('a', 's', 2), [], ['?s']],
        [secret('s'), ['S:s', 'a/2 s']],
      ],
    ],
    [
      'T17 another reference: the old Secret is let go of behind the new version',
      [
        [route('a', 's', 1), [], ['?s']],
        [secret('s'), ['S:s', 'a/1 s']],
        [route('a', 't', 2), [], ['?t']],
        [secret('s', 'renewed'), ['S:s']],
        [secret('t'), ['S:t', 'a/2 t', '-S:s'], ['!s']],
      ],
    ],
    [
      'another reference and back before the answer',
      [
        [route('a', 's', 1), [], ['?s']],
        [secret('s'), ['S:s', 'a/1 s']],
        [route('a', 't', 2), [], ['?t']],
        [route('a', 's', 3), ['a/3 s', '-S:t'], ['!t']],
        [secret('t'), []],
      ],
    ],
    [
      'a held Route names another Secret',
      [
        [route('a', 's', 1), [], ['?s']],
        [route('a', 't', 2), ['-S:s'], ['?t', '!s']],
        [secret('s'), []],
        [secret('t'), ['S:t', 'a/2 t']],
      ],
    ],
    [
      'a held Route names none any more',
      [
        [route('a', 's', 1), [], ['?s']],
        [route('a', '', 2), ['a/2', '-S:s'], ['!s']],
        [secret('s'), []],
      ],
    ],
    [
      'a held Route goes',
      [
        [route('a', 's', 1), [], ['?s']],
        [gone('a'), ['-a', '-S:s'], ['!s']],
        [secret('s'), []],
      ],
    ],
    [
      'T22 the reference is removed',
      [
        [route('a', 's', 1), [], ['?s']],
        [secret('s'), ['S:s', 'a/1 s']],
        [route('a', '', 2), ['a/2', '-S:s'], ['!s']],
      ],
    ],
    [
      'T35 removed and added again: it is asked for anew',
      [
        [route('a', 's', 1), [], ['?s']],
        [secret('s'), ['S:s', 'a/1 s']],
        [route('a', '', 2), ['a/2', '-S:s'], ['!s']],
        [route('a', 's', 3), [], ['?s']],
        [secret('s'), ['S:s', 'a/3 s']],
      ],
    ],
    [
      'two Routes swap their Secrets',
      [
        [route('a', 's', 1), [], ['?s']],
        [route('b', 't', 1), [], ['?t']],
        [secret('s'), ['S:s', 'a/1 s']],
        [secret('t'), ['S:t', 'b/1 t']],
        [route('a', 't', 2), ['a/2 t', '-S:s'], ['!s']],
        [route('b', 's', 2), [], ['?s']],
        [secret('s'), ['S:s', 'b/2 s']],
      ],
    ],
    [
      'a Secret that nobody names',
      [
        [secret('s'), []],
        [fault('s'), []],
      ],
    ],
    [
      'T28 a Secret goes and comes',
      [
        [route('a', 's', 1), [], ['?s']],
        [secret('s'), ['S:s', 'a/1 s']],
        [fault('s'), ['S:s']],
        [secret('s'), ['S:s']],
      ],
    ],
  ];
  test.each(cases)('%s', (_name, steps) => {
    const asked: string[] = [];
    const gate = new SecretGate((namespace, name, wanted) => {
      expect(namespace).toBe('n');
      asked.push(`${wanted ? '?' : '!'}${name}`);
    });
    for (const [i, [event, passes, expected = []]] of steps.entries()) {
      asked.length = 0;
      expect(gate.put(event).map(shown), `step ${i}`).toEqual(passes);
      expect(asked, `asked in step ${i}`).toEqual(expected);
    }
  });

  test('a Route that names two waits for both, and lets go of each by itself', () => {
    const asked: string[] = [];
    const gate = new SecretGate((_, name, wanted) => void asked.push(`${wanted ? '?' : '!'}${name}`));
    const naming = (version: number, own: string, ca: string): ManifestEvent => {
      const manifest = aRoute('n/a')
        .path(`/${version}`)
        .edge()
        .externalCertificate(own)
        .annotation('headgate.io/client-ca-secret', ca)
        .build();
      return { key: manifestKey(manifest), manifest };
    };
    const put = (event: ManifestEvent): string[] => gate.put(event).map(shown);
    expect(put(naming(1, 's', 'c'))).toEqual([]);
    expect(put(secret('s'))).toEqual(['S:s']);
    expect(gate.waiting).toBe(1);
    expect(put(secret('c'))).toEqual(['S:c', 'a/1 s']);
    // Another CA: the Route as it was is served on until that one is known.
    expect(put(naming(2, 's', 'd'))).toEqual([]);
    expect(put(secret('c'))).toEqual(['S:c']);
    expect(put(fault('d'))).toEqual(['S:d', 'a/2 s', '-S:c']);
    expect(put(naming(3, 's', 's'))).toEqual(['a/3 s', '-S:d']);
    expect(put(gone('a'))).toEqual(['-a', '-S:s']);
    expect(asked).toEqual(['?s', '?c', '?d', '!c', '!d', '!s']);
  });

  test('other objects pass', () => {
    const gate = new SecretGate(() => expect.unreachable());
    const service = { key: 'Service/n/s' as ManifestKey, manifest: aService('n/s') };
    expect(gate.put(service)).toEqual([service]);
  });

  test('a Secret of the same name in another namespace is another Secret', () => {
    const asked: string[] = [];
    const gate = new SecretGate((namespace, name) => void asked.push(`${namespace}/${name}`));
    const there = aRoute('m/a').edge().externalCertificate('s').build();
    gate.put(route('a', 's', 1));
    expect(gate.put(secret('s')).map(shown)).toEqual(['S:s', 'a/1 s']);
    expect(gate.put({ key: manifestKey(there), manifest: there })).toEqual([]);
    expect(asked).toEqual(['n/s', 'm/s']);
    expect(gate.waiting).toBe(1);
  });
});

describe('whatever happens', () => {
  type Action = { readonly route: string; readonly secret: string; readonly kind: 'route' | 'gone' | 'answer' };
  const action: fc.Arbitrary<Action> = fc.record({
    kind: fc.constantFrom('route', 'route', 'gone', 'answer', 'answer'),
    route: fc.constantFrom('a', 'b', 'c'),
    secret: fc.constantFrom('', 's', 't', 'u'),
  });

  test('no Route passes before its Secret, none is let go of too early, and all pass at last', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const wanted = new Set<string>();
        const gate = new SecretGate((_, name, isWanted) => {
          // Asked for once, and let go of once.
          expect(wanted.has(name)).toBe(!isWanted);
          if (isWanted) wanted.add(name);
          else wanted.delete(name);
        });
        // What those behind the gate know, and what the source has said last.
        const seen = new Map<string, ManifestEvent>();
        const secrets = new Set<string>();
        const last = new Map<string, ManifestEvent>();
        const secretOf = (event: ManifestEvent | undefined): string => {
          const manifest = event?.manifest;
          return manifest?.kind === 'Route' ? (manifest.tls?.externalCertificate ?? '') : '';
        };
        const pass = (events: readonly ManifestEvent[]): void => {
          for (const event of events) {
            const [kind, , name = ''] = event.key.split('/');
            if (kind === 'Secret') {
              if (event.manifest !== undefined) {
                secrets.add(name);
                continue;
              }
              // No Route behind the gate may lose the Secret that it is served with.
              for (const known of seen.values()) expect(secretOf(known)).not.toBe(name);
              secrets.delete(name);
              continue;
            }
            expect(secretOf(event) === '' || secrets.has(secretOf(event))).toBe(true);
            if (event.manifest === undefined) seen.delete(name);
            else seen.set(name, event);
          }
        };
        let version = 0;
        for (const { kind, route: name, secret: secretName } of actions) {
          if (kind === 'answer') {
            if (secretName === '') continue;
            pass(gate.put(version % 2 === 0 ? secret(secretName) : fault(secretName)));
          } else {
            const event = kind === 'gone' ? gone(name) : route(name, secretName, ++version);
            if (event.manifest === undefined) last.delete(name);
            else last.set(name, event);
            pass(gate.put(event));
          }
          // Exactly the Secrets are wanted that the version before or behind the gate names.
          const named = [...last.values(), ...seen.values()].map(secretOf).filter((one) => one !== '');
          expect(wanted).toEqual(new Set(named));
          const held = [...last].filter(([one, newest]) => seen.get(one) !== newest);
          expect(gate.waiting).toBe(held.length);
          // A Route is held for a Secret that has not answered, and for no other reason.
          for (const [, newest] of held) expect(secrets.has(secretOf(newest))).toBe(false);
        }
        for (const name of [...wanted]) pass(gate.put(secret(name)));
        expect(gate.waiting).toBe(0);
        expect(seen).toEqual(last);
        expect(secrets).toEqual(wanted);
        for (const name of [...last.keys()]) pass(gate.put(gone(name)));
        expect([wanted.size, secrets.size, seen.size]).toEqual([0, 0, 0]);
      }),
      { numRuns: 2000 },
    );
  });
});
